"""Brings a database to the current schema while other teams work with it. Started twice at once, it works once."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Timer
from uuid import UUID

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from resources.postgres.adoption import MigrationRefused, home_schema, plan, refuse_obstacles, who_blocks
from resources.postgres.errors import reason
from resources.postgres.migration_files import MigrationFile, Step, files, read
from resources.settings import SettingError, Settings

# Any constant will do; all migrators of one database must wait for the same one.
_LOCK_KEY = 0x4A0B_BA51
# Whoever waits for a lock makes all others wait who come later. So a step gives up soon and tries again; and as this is
# less than PostgreSQL's deadlock_timeout, a deadlock never ends the statement of another team.
LOCK_TIMEOUT_MS = 200
_PAUSE_S = 0.5
_PATIENCE_S = 120.0
_KEYS_PER_BATCH = 1000
_SLOW_S = 5.0
_LOCK_NOT_AVAILABLE, _DEADLOCK = "55P03", "40P01"


def migrate(database_url: str, *, adopt_start_days: float = 1.0, patience_s: float = _PATIENCE_S) -> list[str]:
    """Applies what is missing and returns the names applied. Raises MigrationRefused.

    An error leaves the database at the last whole step; the next call goes on from there. Work that is older than
    `adopt_start_days` when a database is adopted is held.
    """
    engine = create_engine(database_url, poolclass=NullPool, connect_args={"application_name": "migration of yh"})
    try:
        if not _unfinished(engine):
            return []
        with _alone(engine), engine.connect() as connection:
            return _Migrator(connection, adopt_start_days, patience_s).apply_all()
    finally:
        engine.dispose()


def _unfinished(engine: Engine) -> list[MigrationFile]:
    with engine.connect() as connection:
        applied = _applied_steps(connection)
    return [file for file in map(read, files()) if applied.get(file.number, 0) is not None]


def _applied_steps(connection: Connection) -> dict[int, int | None]:
    """The number of steps done of each migration that was begun; None for all of them."""
    with connection.begin():
        home = home_schema(connection)
        if (
            connection.scalar(text("SELECT to_regclass(format('%I.job_variants_migrations', :home))"), {"home": home})
            is None
        ):
            return {}
        rows = connection.exec_driver_sql(
            "SELECT number, (to_jsonb(m) ->> 'steps_done')::int AS done FROM"
            f" {_quoted(connection, home)}.job_variants_migrations m"
        )
        return {row.number: row.done for row in rows}


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Waits until no other process migrates this database, and keeps others waiting."""
    with engine.connect() as connection:
        while True:
            with connection.begin():
                connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                # Without waiting in the statement: an index that is built concurrently would wait for its snapshot.
                if connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK_KEY}):
                    yield
                    return
            time.sleep(0.1)


@dataclass
class _Migrator:
    connection: Connection
    adopt_start_days: float
    patience_s: float

    def apply_all(self) -> list[str]:
        with self.connection.begin():
            home = home_schema(self.connection)
            refuse_obstacles(self.connection, home)
        self.search_path = f"{_quoted(self.connection, home)}, pg_temp"
        self._patiently(self._make_list, "the list of migrations")
        done = _applied_steps(self.connection)
        missing = [file for file in map(read, files()) if done.get(file.number, 0) is not None]
        for file in missing:
            for number in range(done.get(file.number) or 0, len(file.steps)):
                self._apply(file, number)
        return [file.name for file in missing]

    def _make_list(self) -> None:
        with self._transaction(0):
            self.connection.exec_driver_sql(
                "CREATE TABLE IF NOT EXISTS job_variants_migrations"
                " (number int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            # In version 0.2.0 a migration had one step and left no notes.
            self.connection.exec_driver_sql(
                "ALTER TABLE job_variants_migrations ADD COLUMN IF NOT EXISTS steps_done int,"
                " ADD COLUMN IF NOT EXISTS notes text[] NOT NULL DEFAULT '{}'"
            )

    def _apply(self, file: MigrationFile, number: int) -> None:
        where = f"{file.name}, step {number + 1} of {len(file.steps)} ({file.steps[number].purpose})"
        with _said_when_slow(where):
            self._do(file, number, where)

    def _do(self, file: MigrationFile, number: int, where: str) -> None:
        step = file.steps[number]
        try:
            if step.batches is not None:
                self._in_batches(file.number, step, where)
                self._patiently(lambda: self._record(file, number), where)
            elif step.in_transaction:
                self._patiently(lambda: self._record(file, number, step), where)
            else:
                self._outside_a_transaction(step)
                self._patiently(lambda: self._record(file, number), where)
        except DBAPIError as error:
            raise MigrationRefused(f"{where} failed: {reason(error)}; what was done before is kept") from error

    def _record(self, file: MigrationFile, number: int, step: Step | None = None) -> None:
        """Records the step as done, and does it in the same transaction if it is given."""
        with self._transaction(file.number):
            self.connection.execute(
                text(
                    "INSERT INTO job_variants_migrations AS m (number, name, steps_done) VALUES (:number, :name, :done)"
                    " ON CONFLICT (number) DO UPDATE SET steps_done = excluded.steps_done"
                ),
                {
                    "number": file.number,
                    "name": file.name,
                    "done": number + 1 if number + 1 < len(file.steps) else None,
                },
            )
            if step is not None:
                # The step goes to the server as it is: no splitting, and % stays %.
                self.connection.execution_options(no_parameters=True).exec_driver_sql(step.sql)

    def _in_batches(self, migration: int, step: Step, where: str) -> None:
        table, key = step.batches or ("", "")
        next_key = text(
            f"SELECT {key} FROM (SELECT {key} FROM {table} WHERE {key} > :after ORDER BY {key} LIMIT {_KEYS_PER_BATCH})"
            f" batch ORDER BY {key} DESC LIMIT 1"
        )
        after = UUID(int=0)
        while True:
            with self._transaction(migration):
                upto = self.connection.scalar(next_key, {"after": after})
            if upto is None:
                return
            self._patiently(partial(self._batch, migration, step, {"after": after, "upto": upto}), where)
            after = upto

    def _batch(self, migration: int, step: Step, bounds: dict[str, UUID]) -> None:
        with self._transaction(migration):
            self.connection.execute(text(step.sql), bounds)

    def _outside_a_transaction(self, step: Step) -> None:
        """Waits without a limit: a statement of this kind makes nobody else wait."""
        with self.connection.engine.connect() as other:
            outside = other.execution_options(isolation_level="AUTOCOMMIT", no_parameters=True)
            outside.exec_driver_sql(
                f"SET search_path TO {self.search_path}; SET lock_timeout TO 0; SET statement_timeout TO 0"
            )
            if broken := _broken_index(outside, step):
                outside.exec_driver_sql(f"DROP INDEX CONCURRENTLY {broken}")
            outside.exec_driver_sql(step.sql)

    def _patiently(self, do: Callable[[], None], where: str) -> None:
        """Does it again while others hold what it has to lock, with pauses in which they can go on."""
        give_up_s = time.monotonic() + self.patience_s
        while True:
            try:
                return do()
            except DBAPIError as error:
                if getattr(error.orig, "pgcode", None) not in (_LOCK_NOT_AVAILABLE, _DEADLOCK):
                    raise
                if time.monotonic() > give_up_s:
                    with self.connection.begin():
                        blocker = who_blocks(self.connection)
                    raise MigrationRefused(
                        f"{where} waits for a lock since {self.patience_s:.0f} s. {blocker}\n"
                        "End that transaction, then migrate again; what was done before is kept."
                    ) from None
            time.sleep(_PAUSE_S)

    @contextmanager
    def _transaction(self, migration: int) -> Iterator[None]:
        with self.connection.begin():
            self.connection.exec_driver_sql(
                f"SET LOCAL search_path TO {self.search_path}; SET LOCAL lock_timeout TO {LOCK_TIMEOUT_MS};"
                " SET LOCAL statement_timeout TO 0;"
                f" SET LOCAL job_variants.migration TO '{migration}';"
                f" SET LOCAL job_variants.adopt_start_days TO '{float(self.adopt_start_days)}'"
            )
            yield


@contextmanager
def _said_when_slow(where: str) -> Iterator[None]:
    """People see what a step that takes long is waiting for, or working on."""
    timer = Timer(_SLOW_S, print, (f"{where} …",), {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _broken_index(connection: Connection, step: Step) -> str | None:
    """The index that the step builds, if it was being built before when a migrator was ended."""
    built = re.search(r"INDEX CONCURRENTLY IF NOT EXISTS (\w+)", step.sql)
    if built is None:
        return None
    broken: str | None = connection.execute(
        text(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid"
        ),
        {"name": built[1]},
    ).scalar()
    return broken


def notes(database_url: str) -> list[str]:
    """What the migrations have dropped, held or found unknown."""
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as connection, connection.begin():
        home = _quoted(connection, home_schema(connection))
        rows = connection.exec_driver_sql(f"SELECT unnest(notes) FROM {home}.job_variants_migrations ORDER BY number")
        return list(rows.scalars())


def main(arguments: Sequence[str] = ()) -> int:
    parser = argparse.ArgumentParser(prog="make migrate", description=__doc__)
    parser.add_argument("--plan", action="store_true", help="say what would happen, and change nothing")
    given = parser.parse_args(arguments)
    try:
        settings = Settings()
        url = settings.require_database_url()
        if given.plan:
            print(_plan(url, settings.adopt_start_days))
            return 0
        applied = migrate(url, adopt_start_days=settings.adopt_start_days)
    except SettingError as error:
        print(error, file=sys.stderr)
        return 1
    except MigrationRefused as error:
        print(f"cannot migrate {settings.database_for_people}: {error}", file=sys.stderr)
        return 1
    except DBAPIError as error:
        print(f"cannot migrate {settings.database_for_people}: {reason(error)}", file=sys.stderr)
        return 1
    if not applied:
        print("the database is up to date")
        return 0
    print("\n".join([f"applied {', '.join(applied)}", *notes(url)]))
    return 0


def _plan(database_url: str, adopt_start_days: float) -> str:
    engine = create_engine(database_url, poolclass=NullPool)
    missing = _unfinished(engine)
    with engine.connect() as connection, connection.begin():
        return plan(connection, [file.name for file in missing], adopt_start_days)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
