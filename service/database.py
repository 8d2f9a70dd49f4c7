"""Looks at the database before anything starts, makes what Dagster needs in it, and migrates our tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from orchestration.schema_url import in_schema
from resources.postgres.adoption import MigrationRefused
from resources.postgres.migrations import migrate
from resources.settings import DAGSTER_SCHEMA, shown_url
from service.commands import ServiceError

_CONNECTED_WITHIN_S = 10
# The same for every connection to one database of one server, through a pooler too.
_WHICH_DATABASE = "SELECT oid, pg_postmaster_start_time() FROM pg_database WHERE datname = current_database()"
_DIRECT = (
    "set DAGSTER_DATABASE_URL to the address of the PostgreSQL server itself, with the same database; DATABASE_URL may"
    " go on leading through the pooler"
)


def prepare_database(database_url: str, dagster_url: str | None = None, *, adopt_start_days: float = 1.0) -> list[str]:
    """Checks both ways into the database, creates the schema for Dagster's own tables and migrates ours.

    Returns the names of the migrations that were applied. Raises ServiceError.
    """
    with _used("DATABASE_URL", database_url) as connection:
        _require_utf8(connection)
        database = connection.execute(text(_WHICH_DATABASE)).one()
        # Only where it is missing: somebody else may have created it for a user who may not create schemas.
        if connection.scalar(text("SELECT to_regnamespace(:schema)"), {"schema": DAGSTER_SCHEMA}) is None:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {DAGSTER_SCHEMA}"))
    with _used("DAGSTER_DATABASE_URL", dagster_url or in_schema(database_url, DAGSTER_SCHEMA)) as connection:
        if connection.execute(text(_WHICH_DATABASE)).one() != database:
            raise ServiceError(
                "DAGSTER_DATABASE_URL leads to another database than DATABASE_URL; name the same one in both, or unset"
                " DAGSTER_DATABASE_URL"
            )
        _require_dagster_schema(connection)
    with _refusals("DATABASE_URL", make_url(database_url)):
        return migrate(database_url, adopt_start_days=adopt_start_days)


@contextmanager
def _used(setting: str, url: str) -> Iterator[Connection]:
    """A transaction in this database. What PostgreSQL refuses is a ServiceError."""
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": _CONNECTED_WITHIN_S})
    with _refusals(setting, make_url(url)), engine.begin() as connection:
        yield connection


@contextmanager
def _refusals(setting: str, url: URL) -> Iterator[None]:
    try:
        yield
    except MigrationRefused as error:
        raise ServiceError(f"cannot migrate {shown_url(url)}: {error}") from None
    except DBAPIError as error:
        reason = str(error.orig).strip()
        if "unsupported startup parameter" in reason:
            raise ServiceError(
                f"there is a pooler at {url.host}:{url.port or 5432} that does not pass on the search path that Dagster"
                f" needs ({reason}); {_DIRECT}"
            ) from None
        raise ServiceError(
            f"cannot use database {url.database} at {url.host}:{url.port or 5432} as {url.username}:"
            f" {reason}\nCheck that the server runs, that {setting} names its address, user and"
            " password, and that the user may create tables and the schema dagster; without DATABASE_URL an embedded"
            " server is used."
        ) from None


def _require_utf8(connection: Connection) -> None:
    encoding = _scalar(connection, "SHOW server_encoding")
    if encoding != "UTF8":
        name = _scalar(connection, "SELECT current_database()")
        raise ServiceError(
            f"database {name} has the encoding {encoding}, which cannot hold every copy; use one that was made"
            f" with: CREATE DATABASE {name}_utf8 ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0"
        )


def _require_dagster_schema(connection: Connection) -> None:
    """Otherwise Dagster would make its table `jobs`, and all others, among ours."""
    if (found := _scalar(connection, "SELECT current_schema()")) == DAGSTER_SCHEMA:
        return
    if not _scalar(connection, f"SELECT has_schema_privilege('{DAGSTER_SCHEMA}', 'USAGE')"):
        role = _scalar(connection, "SELECT current_user")
        raise ServiceError(
            f"{role} may not use the schema {DAGSTER_SCHEMA}; its owner can allow it with: GRANT USAGE, CREATE ON"
            f" SCHEMA {DAGSTER_SCHEMA} TO {role}"
        )
    raise ServiceError(
        f"the way to the database drops the search path that Dagster needs: its tables would be made in schema {found},"
        f" not in {DAGSTER_SCHEMA}. There is a pooler before the server; {_DIRECT}"
    )


def _scalar(connection: Connection, statement: str) -> Any:
    return connection.scalar(text(statement))
