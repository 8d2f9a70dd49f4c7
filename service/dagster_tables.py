"""`python -m service.dagster_tables`: makes Dagster's schema and tables, for which running has no rights."""

from __future__ import annotations

import sys

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from orchestration.storage import PooledEventLogStorage, PooledRunStorage, PooledScheduleStorage, close_connections
from resources.settings import SettingError, Settings


def make_tables(settings: Settings) -> None:
    """Makes what is missing. Where everything is there it changes nothing and needs no right to create."""
    engine = create_engine(settings.require_database_url(), poolclass=NullPool)
    with engine.begin() as connection:
        if connection.scalar(text("SELECT to_regnamespace('dagster')")) is None:
            connection.execute(text("CREATE SCHEMA IF NOT EXISTS dagster"))
    for storage in (PooledRunStorage, PooledEventLogStorage, PooledScheduleStorage):
        storage(settings.dagster_database_url)
    close_connections()


def main() -> int:
    try:
        settings = Settings()
        make_tables(settings)
    except SettingError as error:
        print(error, file=sys.stderr)
        return 1
    except DBAPIError as error:
        where = settings.database_for_people
        print(f"cannot make Dagster's tables in {where}: {str(error.orig).strip()}", file=sys.stderr)
        return 1
    print("Dagster's tables are there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
