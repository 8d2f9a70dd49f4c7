"""What is looked at in a database before anything starts: the way to it, its encoding, Dagster's schema."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from orchestration.schema_url import in_schema
from resources.postgres.database import Database
from service.commands import ServiceError
from service.database import prepare_database
from testing.databases import new_database
from testing.pooler import pgbouncer
from testing.shop import Shop, work_through


@pytest.fixture
def empty_url(postgres_url: str) -> Iterator[str]:
    with new_database(postgres_url) as url:
        yield url


def schemas_of(url: str, table: str) -> list[str]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT schemaname FROM pg_tables WHERE tablename = :t"), {"t": table})
        return [row[0] for row in found]


@pytest.mark.parametrize("drops_options", [False, True])
def test_a_pooler_that_loses_dagster_s_schema_is_refused_with_the_way_out_before_anything_is_made(
    empty_url: str, tmp_path: Path, drops_options: bool
) -> None:
    with (
        pgbouncer(empty_url, tmp_path, drops_options=drops_options) as pooled,
        pytest.raises(
            ServiceError, match=r"a pooler .*set DAGSTER_DATABASE_URL to the address of the PostgreSQL server"
        ),
    ):
        prepare_database(pooled)
    assert schemas_of(empty_url, "jobs") == []


def test_variants_go_through_a_pooler_while_dagster_goes_directly(empty_url: str, tmp_path: Path) -> None:
    with pgbouncer(empty_url, tmp_path) as pooled:
        assert prepare_database(pooled, in_schema(empty_url, "dagster"))[0] == "0001_shared_tables.sql"
        assert prepare_database(pooled, in_schema(empty_url, "dagster")) == []
        shop, database = Shop(create_engine(pooled, poolclass=NullPool)), Database(pooled)
        job = shop.job()
        variant = shop.variant(job)
        work_through(database, variant, "run-1")
        assert database.claims.complete(variant).job_status == "done"
        database.close()


def test_two_different_databases_are_refused(postgres_url: str, empty_url: str) -> None:
    with pytest.raises(ServiceError, match="DAGSTER_DATABASE_URL leads to another database than DATABASE_URL"):
        prepare_database(empty_url, in_schema(postgres_url, "dagster"))


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_korean_is_refused_with_the_way_out(postgres_url: str, encoding: str) -> None:
    name = f"old_{uuid4().hex[:8]}"
    admin = create_engine(postgres_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"))
    try:
        url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
        with pytest.raises(ServiceError, match=f"database {name} has the encoding {encoding}.*ENCODING 'UTF8'"):
            prepare_database(url)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))


def test_a_role_that_may_not_use_dagster_s_schema_is_told_so(empty_url: str) -> None:
    role = f"guest_{uuid4().hex[:8]}"
    engine = create_engine(empty_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA dagster; CREATE ROLE {role} LOGIN PASSWORD 'known'"))
    try:
        guest = make_url(empty_url).set(username=role, password="known").render_as_string(hide_password=False)
        with pytest.raises(ServiceError, match=f"GRANT USAGE, CREATE ON SCHEMA dagster TO {role}"):
            prepare_database(guest)
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP ROLE {role}"))
