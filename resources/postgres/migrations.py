"""Brings a database to the current schema: numbered files, each in one transaction, safe to start twice at once."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from resources.postgres.queries import SQL_FOLDER
from resources.settings import SettingError, Settings

# Any constant will do; all migrators of one database must wait for the same one.
_LOCK_KEY = 0x4A0B_BA51


def files() -> list[Path]:
    """The migrations in the order of their numbers."""
    found = sorted((SQL_FOLDER / "migrations").glob("*.sql"))
    numbers = [number_of(path) for path in found]
    if numbers != list(range(1, len(found) + 1)):
        raise ValueError(f"sql/migrations must be numbered 1, 2, 3 … without gaps, found {numbers}")
    return found


def number_of(path: Path) -> int:
    match = re.match(r"(\d{4})_\w+\.sql$", path.name)
    if match is None:
        raise ValueError(f"{path.name} is not named like 0001_what_it_does.sql")
    return int(match[1])


def migrate(database_url: str) -> list[str]:
    """Applies what is missing and returns the names applied. An error leaves the database at the last whole file."""
    engine = create_engine(database_url, poolclass=NullPool)
    return [path.name for path in files() if _apply(engine.connect(), path)]


def _apply(connection: Connection, path: Path) -> bool:
    with connection, connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        connection.execute(
            text(
                "CREATE TABLE IF NOT EXISTS job_variants_migrations"
                " (number int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
            )
        )
        claimed = connection.execute(
            text(
                "INSERT INTO job_variants_migrations (number, name) VALUES (:number, :name)"
                " ON CONFLICT (number) DO NOTHING RETURNING number"
            ),
            {"number": number_of(path), "name": path.name},
        )
        if claimed.first() is None:
            return False
        # The file goes to the server as it is: no splitting, and % stays %.
        connection.execution_options(no_parameters=True).exec_driver_sql(path.read_text(encoding="utf-8"))
        return True


def main() -> int:
    try:
        settings = Settings()
        applied = migrate(settings.require_database_url())
    except SettingError as error:
        print(error, file=sys.stderr)
        return 1
    except OperationalError as error:
        print(f"cannot migrate {settings.database_for_people}: {error.orig}", file=sys.stderr)
        return 1
    print(f"applied {', '.join(applied)}" if applied else "the database is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
