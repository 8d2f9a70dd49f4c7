"""The pooled storages on a real server, beside the stock ones they stand in for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import create_engine, event, text
from sqlalchemy.pool import NullPool, QueuePool

from orchestration.removal import remove_runs
from orchestration.storage import PooledEventLogStorage, pooled_engine
from service import postgres
from testing.databases import new_database
from testing.forking._dagster import KnownExecutionState
from testing.forking.runs import forking_instance
from testing.leftovers import rows_naming


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


def test_many_runs_are_removed_in_a_few_statements(instance: dg.DagsterInstance, url: str) -> None:
    runs = [dg.materialize([one], instance=instance).run_id]
    copy_run(url, runs[0], 1200)
    runs = list(instance.get_run_ids())
    statements: list[str] = []
    event.listen(pooled_engine(url), "before_cursor_execute", lambda *given: statements.append(given[2]))
    remove_runs(instance, runs)
    assert len(runs) == 1201
    # Three parts of at most 500.
    assert len(statements) <= 3 * 8
    assert instance.get_run_ids() == []
    assert [row.split(":")[0] for row in rows_naming(url, runs)] == ["public.asset_keys"]


def copy_run(url: str, run_id: str, times: int) -> None:
    """As many runs as this one, with its events and tags."""
    engine = create_engine(url, poolclass=NullPool)
    parameters = {"run": run_id, "times": times}
    with engine.begin() as connection:
        for table, columns in (
            ("runs", "snapshot_id, pipeline_name, status, run_body"),
            ("run_tags", "key, value"),
            ("event_logs", "event, dagster_event_type, timestamp, step_key, asset_key, partition"),
        ):
            copied = (
                f"INSERT INTO {table} (run_id, {columns}) SELECT r.run_id || '-' || n, {columns} FROM {table} r,"
                " generate_series(1, :times) n WHERE r.run_id = :run"
            )
            connection.execute(text(copied), parameters)
    engine.dispose()


def test_checks_of_runs_that_dagster_itself_removed_are_removed_later(instance: dg.DagsterInstance, url: str) -> None:
    @dg.asset_check(asset=one)
    def is_one() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    gone, stays = (dg.materialize([one, is_one], instance=instance).run_id for _ in range(2))
    instance.delete_run(gone)
    assert isinstance(instance.event_log_storage, PooledEventLogStorage)
    assert instance.event_log_storage.remove_checks_without_run() == 1
    assert [row.split(":")[0] for row in rows_naming(url, [gone])] == []
    assert any(row.startswith("public.asset_check_executions") for row in rows_naming(url, [stays]))


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


def test_the_events_of_a_succeeded_run_that_only_others_need_go_at_its_end_and_its_steps_later(
    instance: dg.DagsterInstance,
) -> None:
    @dg.op
    def measures() -> dg.Output[int]:
        return dg.Output(1, metadata={"figure": 7})

    @dg.job
    def measuring() -> None:
        measures()

    runs = [dg.materialize([one], instance=instance).run_id, measuring.execute_in_process(instance=instance).run_id]
    storage = instance.event_log_storage
    assert isinstance(storage, PooledEventLogStorage)
    assert kinds(instance, runs[0]) >= {"STEP_START", "STEP_SUCCESS", "ASSET_MATERIALIZATION", "PIPELINE_SUCCESS"}
    assert kinds(instance, runs[0]).isdisjoint(
        {"ASSET_MATERIALIZATION_PLANNED", "RESOURCE_INIT_SUCCESS", "STEP_OUTPUT"}
    )
    # What an op's output says stands nowhere else.
    assert "STEP_OUTPUT" in kinds(instance, runs[1])
    assert storage.remove_details_before(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert storage.remove_details_before(datetime.now(UTC) + timedelta(hours=1)) > 0
    assert kinds(instance, runs[0]) == {"LOGS_CAPTURED", "ASSET_MATERIALIZATION", "PIPELINE_START", "PIPELINE_SUCCESS"}
    assert instance.get_run_stats(runs[0]).end_time is not None
    assert instance.get_materialized_partitions(one.key) == set()


def test_a_failed_run_keeps_every_event_and_goes_on_where_it_failed(instance: dg.DagsterInstance) -> None:
    @dg.op
    def first() -> int:
        return 1

    @dg.op
    def second(one: int) -> None:
        raise ValueError(str(one))

    @dg.job
    def failing() -> None:
        second(first())

    failed = failing.execute_in_process(instance=instance, raise_on_error=False)
    storage = instance.event_log_storage
    assert isinstance(storage, PooledEventLogStorage)
    assert storage.remove_details_before(datetime.now(UTC) + timedelta(hours=1)) == 0
    assert kinds(instance, failed.run_id) >= {"RESOURCE_INIT_SUCCESS", "STEP_OUTPUT", "STEP_START", "STEP_FAILURE"}
    run = instance.get_run_by_id(failed.run_id)
    assert run is not None
    steps, _ = KnownExecutionState.build_resume_retry_reexecution(instance, run)
    assert steps == ["second"]


def kinds(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    return {str(entry.dagster_event.event_type_value) for entry in instance.all_logs(run_id) if entry.dagster_event}
