"""The pooled storages on a real server, beside the stock ones they stand in for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import create_engine, event, text
from sqlalchemy.pool import NullPool, QueuePool

from orchestration.storage import PooledEventLogStorage, pooled_engine
from service import postgres
from testing.databases import new_database
from testing.forking.runs import forking_instance


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A server of these tests' own, for they restart it."""
    folder = tmp_path_factory.mktemp("restarted") / "postgres"
    postgres.start(folder, durable=False)
    yield folder
    postgres.stop(folder)


@pytest.fixture
def url(server: Path) -> Iterator[str]:
    with new_database(postgres.start(server, durable=False).url) as url:
        yield url
        pooled_engine(url).dispose()


@pytest.fixture
def instance(url: str, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with forking_instance(url, tmp_path, {}) as instance:
        yield instance


@dg.asset
def one() -> None: ...


def connections_ever(url: str) -> int:
    """How many sessions this database has seen; the reader's own connection is one of them."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        return int(
            connection.scalar(text("SELECT sessions FROM pg_stat_database WHERE datname = current_database()")) or 0
        )


def test_the_last_materialization_is_the_stock_one_before_and_after_a_wipe(instance: dg.DagsterInstance) -> None:
    storage = instance.event_log_storage
    assert isinstance(storage, PooledEventLogStorage)

    def ours_and_stock() -> tuple[Any, Any]:
        rows = storage._fetch_asset_rows(asset_keys=[one.key])
        stock = PostgresEventLogStorage._get_latest_materialization_records
        return storage._get_latest_materialization_records(rows), stock(storage, rows)

    for step in (
        lambda: None,
        lambda: dg.materialize([one], instance=instance),
        lambda: dg.materialize([one], instance=instance),
        lambda: instance.wipe_assets([one.key]),
        lambda: dg.materialize([one], instance=instance),
    ):
        step()
        ours, stock = ours_and_stock()
        assert ours == stock


def test_a_partition_that_is_deleted_is_gone_at_once_where_it_was_known(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("variants", ["a"])
    assert instance.has_dynamic_partition("variants", "a")
    assert instance.has_dynamic_partition("variants", "a")
    instance.delete_dynamic_partition("variants", "a")
    assert not instance.has_dynamic_partition("variants", "a")


def test_a_partition_that_was_not_there_is_found_once_it_is(instance: dg.DagsterInstance) -> None:
    assert not instance.has_dynamic_partition("variants", "b")
    instance.add_dynamic_partitions("variants", ["b"])
    assert instance.has_dynamic_partition("variants", "b")


def test_what_the_schema_has_is_asked_once_and_what_it_lacks_every_time(
    instance: dg.DagsterInstance,
) -> None:
    storage = instance.event_log_storage
    assert isinstance(storage, PooledEventLogStorage)
    statements: list[str] = []
    engine = pooled_engine(str(storage.postgres_url))
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    assert storage.has_table("event_logs")
    asked = len(statements)
    assert storage.has_table("event_logs")
    assert len(statements) == asked
    assert not storage.has_table("none")
    assert not storage.has_table("none")
    assert len(statements) > asked + 1


def test_a_run_over_the_pool_opens_no_connection_of_its_own(instance: dg.DagsterInstance, url: str) -> None:
    assert dg.materialize([one], instance=instance).success
    before = connections_ever(url)
    assert dg.materialize([one], instance=instance).success
    assert connections_ever(url) - before <= 5
    assert isinstance(pooled_engine(url).pool, QueuePool)


def test_the_database_restarts_and_the_next_statement_finds_it_again(
    instance: dg.DagsterInstance, server: Path
) -> None:
    assert dg.materialize([one], instance=instance).success
    postgres.stop(server)
    postgres.start(server, durable=False)
    assert dg.materialize([one], instance=instance).success
    assert instance.get_latest_materialization_event(AssetKey("one")) is not None


def test_a_forked_child_has_connections_of_its_own(url: str) -> None:
    engine = pooled_engine(url)
    session = text("SELECT pg_backend_pid()")
    with engine.connect() as connection:
        ours = connection.scalar(session)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with engine.connect() as connection:
            os.write(writer, str(connection.scalar(session)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reader, 20)) != ours
    with engine.connect() as connection:
        assert connection.scalar(session) == ours
