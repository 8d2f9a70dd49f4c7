"""With sql/tenant_readers.sql a reader sees the rows of one tenant, in every table, and everybody else all of them."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from resources.postgres.database import Database
from resources.postgres.queries import SQL_FOLDER
from testing.shop import Shop, work_through

EVERY_TABLE = (
    "SELECT relname, oid FROM pg_class WHERE relkind IN ('r', 'v', 'm', 'p') AND relnamespace = 'public'::regnamespace"
)


def run_file(engine: Engine) -> None:
    with engine.begin() as connection:
        plain = connection.execution_options(no_parameters=True)
        plain.exec_driver_sql((SQL_FOLDER / "tenant_readers.sql").read_text())


@pytest.fixture
def readers(engine: Engine) -> Iterator[None]:
    """cafe_reader and bar_reader, and one whose tenant nobody has named."""
    run_file(engine)
    with engine.begin() as connection:
        for reader in ("cafe_reader", "bar_reader", "nobodys_reader"):
            connection.execute(text(f"CREATE ROLE {reader} LOGIN IN ROLE tenant_reader"))
    yield
    with engine.begin() as connection:
        connection.execute(text("DROP OWNED BY tenant_reader"))
        connection.execute(text("DROP ROLE cafe_reader, bar_reader, nobodys_reader, tenant_reader"))


def full_job(shop: Shop, db: Database, tenant: str) -> UUID:
    """A job with a row in every table, also in those for results that name no variant."""
    job = shop.job(tenant=tenant)
    variant = shop.variant(job)
    work_through(db, variant, f"run of {tenant}")
    db.claims.complete(variant)
    shop.add_copy(job, korean="라떼", english="A latte")
    shop.execute("INSERT INTO detections (job_id, job_variants_id, label) VALUES (:j, :v, 'cup')", j=job, v=variant)
    shop.execute("INSERT INTO detections (job_id, label) VALUES (:j, 'cup')", j=job)
    shop.execute("INSERT INTO vlm_traces (job_id, is_current) VALUES (:j, false)", j=job)
    shop.execute("INSERT INTO image_assets (job_id, image_url) VALUES (:j, '/assets/no-tenant.png')", j=job)
    shop.execute("INSERT INTO tenant_readers VALUES (:r, :t)", r=f"{tenant}_reader", t=tenant)
    return job


def readable(shop: Shop, reader: str) -> dict[str, list[str]]:
    """Every row of every table that this login may read, as text."""
    rows = {}
    for table in shop.table(EVERY_TABLE):
        with shop.engine.connect() as connection:
            connection.execute(text(f"SET ROLE {reader}"))
            if connection.scalar(text("SELECT has_table_privilege(:t, 'SELECT')"), {"t": table}):
                rows[table] = list(connection.scalars(text(f'SELECT CAST(t AS text) FROM "{table}" t')))
    return rows


def test_of_every_table_a_reader_sees_the_rows_of_its_tenant_and_no_other(
    readers: None, shop: Shop, db: Database
) -> None:
    tables = shop.table(EVERY_TABLE)
    full_job(shop, db, "cafe")
    cafe_alone = {table: set(shop.table(f'SELECT CAST(t AS text), 1 FROM "{table}" t')) for table in tables}
    full_job(shop, db, "bar")
    everything = {table: set(shop.table(f'SELECT CAST(t AS text), 1 FROM "{table}" t')) for table in tables}
    cafe, bar = readable(shop, "cafe_reader"), readable(shop, "bar_reader")
    # The rows that were there before there was another tenant, and the rest.
    assert {table: set(rows) for table, rows in cafe.items()} == {table: cafe_alone[table] for table in cafe}
    assert {table: set(rows) for table, rows in bar.items()} == {
        table: everything[table] - cafe_alone[table] for table in bar
    }
    assert all(rows for rows in (*cafe.values(), *bar.values()))
    # What has no tenant cannot be read at all.
    assert set(tables) - set(cafe) >= {
        "variant_requests",
        "parallel_order",
        "job_variants_migrations",
        "variant_results",
    }


def test_a_reader_without_a_tenant_sees_nothing(readers: None, shop: Shop, db: Database) -> None:
    full_job(shop, db, "cafe")
    assert set(map(len, readable(shop, "nobodys_reader").values())) == {0}
    assert set(map(len, readable(shop, "tenant_reader").values())) == {0}


def test_a_table_that_is_added_later_cannot_be_read_until_it_has_a_policy(readers: None, shop: Shop) -> None:
    shop.execute("CREATE TABLE added_later (tenant_id varchar)")
    assert "added_later" not in readable(shop, "cafe_reader")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tenant_readers SET tenant_id = 'bar'",
        "INSERT INTO tenant_readers VALUES ('nobodys_reader', 'bar')",
        "UPDATE jobs SET status = 'done'",
        "DELETE FROM jobs",
        "SET ROLE bar_reader",
        "SELECT * FROM variant_results",
    ],
)
def test_a_reader_can_neither_write_nor_become_another(readers: None, shop: Shop, db: Database, statement: str) -> None:
    full_job(shop, db, "cafe")
    with shop.engine.connect() as connection:
        connection.execute(text("SET SESSION AUTHORIZATION cafe_reader"))
        with pytest.raises(ProgrammingError, match="permission denied"):
            connection.execute(text(statement))


def test_everybody_else_reads_and_writes_as_before_and_the_file_can_be_run_again(
    readers: None, shop: Shop, db: Database, engine: Engine
) -> None:
    run_file(engine)
    shop.execute("CREATE ROLE writer")
    shop.execute("GRANT SELECT, UPDATE ON jobs, jobs_variants TO writer")
    for tenant in ("cafe", "bar"):
        full_job(shop, db, tenant)
    with engine.connect() as connection:
        connection.execute(text("SET ROLE writer"))
        assert connection.execute(text("UPDATE jobs SET version = '2'")).rowcount == 2
        # The planner sees no condition, so indexes serve as before.
        plan = "\n".join(connection.scalars(text("EXPLAIN SELECT * FROM jobs_variants WHERE status = 'done'")))
        assert "tenant" not in plan
        connection.rollback()
    shop.execute("DROP OWNED BY writer")
    shop.execute("DROP ROLE writer")
