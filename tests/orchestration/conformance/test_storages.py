"""What Dagster keeps in PostgreSQL is the same over the stock storages and over the pooled ones."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_postgres import PostgresRunStorage
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from testing.databases import new_database
from testing.forking._dagster import (
    BulkActionStatus,
    DaemonHeartbeat,
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    PartitionBackfill,
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
    TickData,
    TickStatus,
)
from testing.forking.runs import instance_on

VARIANTS = dg.DynamicPartitionsDefinition(name="variants")


@dg.asset(partitions_def=VARIANTS)
def picture(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"key": context.partition_key})


@dg.asset_check(asset=picture)
def is_sharp(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=context.partition_key != "b")


@dg.asset
def broken() -> None:
    raise ValueError("on purpose")


@dg.op
def nothing() -> None: ...


JOB = dg.GraphDefinition(name="nothing_job", node_defs=[nothing]).to_job()


def materialize(instance: dg.DagsterInstance, *keys: str) -> None:
    instance.add_dynamic_partitions("variants", list(keys))
    for key in keys:
        assert dg.materialize([picture, is_sharp], instance=instance, partition_key=key).success


def create(instance: dg.DagsterInstance, **more: Any) -> dg.DagsterRun:
    return instance.create_run_for_job(JOB, **more)


def report(instance: dg.DagsterInstance, run: dg.DagsterRun, *events: dg.DagsterEventType) -> None:
    for event in events:
        instance.report_dagster_event(dg.DagsterEvent(event.value, run.job_name), run_id=run.run_id)


def test_runs_are_found_by_tag_status_and_job_newest_first_page_by_page(instance: dg.DagsterInstance) -> None:
    made = [create(instance, tags={"tenant": "cafe", "number": str(number)}) for number in range(3)]
    create(instance, tags={"tenant": "bar"})
    instance.add_run_tags(made[1].run_id, {"worker": "7"})
    found = instance.get_runs(dg.RunsFilter(tags={"tenant": "cafe"}))
    assert [run.run_id for run in found] == [run.run_id for run in reversed(made)]
    assert found[1].tags == {"tenant": "cafe", "number": "1", "worker": "7"} | {
        name: value for name, value in found[1].tags.items() if name.startswith((".dagster", "dagster/"))
    }
    page = instance.get_runs(dg.RunsFilter(tags={"tenant": "cafe"}), cursor=made[2].run_id, limit=1)
    assert [run.run_id for run in page] == [made[1].run_id]
    assert instance.get_runs_count(dg.RunsFilter(job_name="nothing_job")) == 4
    assert instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])) == 0
    instance.delete_run(made[0].run_id)
    assert instance.get_run_by_id(made[0].run_id) is None
    assert instance.get_runs_count(dg.RunsFilter(tags={"tenant": "cafe"})) == 2


def test_the_status_of_a_run_follows_its_events(instance: dg.DagsterInstance) -> None:
    run = create(instance)
    seen = []
    for event in (
        dg.DagsterEventType.RUN_STARTING,
        dg.DagsterEventType.RUN_START,
        dg.DagsterEventType.RUN_SUCCESS,
    ):
        report(instance, run, event)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        seen.append(found.status.value)
    assert seen == ["STARTING", "STARTED", "SUCCESS"]
    [record] = instance.get_run_records(dg.RunsFilter(run_ids=[run.run_id]))
    assert record.start_time is not None
    assert record.end_time is not None
    assert record.end_time >= record.start_time


def test_the_events_of_a_run_come_back_in_order_page_by_page_and_by_kind(instance: dg.DagsterInstance) -> None:
    result = dg.materialize([broken], instance=instance, raise_on_error=False)
    kinds = [event.event_type for event in result.all_events]
    assert kinds[-1] == dg.DagsterEventType.RUN_FAILURE
    read: list[Any] = []
    cursor, more = None, True
    while more:
        page = instance.get_records_for_run(result.run_id, cursor=cursor, limit=3)
        read += [record.event_log_entry.dagster_event for record in page.records]
        cursor, more = page.cursor, page.has_more
    planned, *read_kinds = [event.event_type for event in read if event is not None]
    assert planned == dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    assert read_kinds == kinds
    [failure] = instance.get_records_for_run(result.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    assert "on purpose" in str(failure.event_log_entry.dagster_event)
    stats = instance.get_run_stats(result.run_id)
    assert (stats.steps_failed, stats.steps_succeeded) == (1, 0)


def test_an_asset_is_found_with_its_latest_materialization_and_its_partitions(instance: dg.DagsterInstance) -> None:
    materialize(instance, "a", "b", "c")
    assert instance.get_asset_keys() == [picture.key]
    latest = instance.get_latest_materialization_event(picture.key)
    assert latest is not None
    assert latest.asset_materialization is not None
    assert latest.asset_materialization.metadata["key"].value == "c"
    assert instance.get_materialized_partitions(picture.key) == {"a", "b", "c"}
    [record] = instance.get_asset_records([picture.key])
    assert record.asset_entry.last_materialization == latest
    by_partition = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=picture.key, asset_partitions=["b"]), limit=10
    )
    assert [record.partition_key for record in by_partition.records] == ["b"]


def test_a_wiped_asset_has_no_materialization_until_the_next(instance: dg.DagsterInstance) -> None:
    materialize(instance, "a")
    instance.wipe_assets([picture.key])
    assert instance.get_latest_materialization_event(picture.key) is None
    assert instance.get_materialized_partitions(picture.key) == set()
    materialize(instance, "b")
    assert instance.get_materialized_partitions(picture.key) == {"b"}


def test_checks_are_kept_with_what_they_found(instance: dg.DagsterInstance) -> None:
    materialize(instance, "a", "b")
    check = dg.AssetCheckKey(picture.key, "is_sharp")
    history = instance.event_log_storage.get_asset_check_execution_history(check, limit=5)
    assert [execution.status.value for execution in history] == ["FAILED", "SUCCEEDED"]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])
    assert latest[check].status.value == "FAILED"


def test_dynamic_partitions_are_added_found_and_deleted(instance: dg.DagsterInstance) -> None:
    assert not instance.has_dynamic_partition("variants", "a")
    instance.add_dynamic_partitions("variants", ["a", "b"])
    instance.add_dynamic_partitions("variants", ["b", "c"])
    assert list(instance.get_dynamic_partitions("variants")) == ["a", "b", "c"]
    assert instance.has_dynamic_partition("variants", "b")
    page = instance.get_paginated_dynamic_partitions("variants", limit=2, ascending=False)
    assert list(page.results) == ["c", "b"]
    instance.delete_dynamic_partition("variants", "b")
    assert not instance.has_dynamic_partition("variants", "b")
    assert list(instance.get_dynamic_partitions("variants")) == ["a", "c"]


def test_the_slots_of_a_pool_are_claimed_and_freed(instance: dg.DagsterInstance) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("gpu", 1)
    assert storage.get_concurrency_keys() == {"gpu"}
    assert [(limit.name, limit.limit) for limit in storage.get_pool_limits()] == [("gpu", 1)]
    assert storage.claim_concurrency_slot("gpu", "one", "step").is_claimed
    assert not storage.claim_concurrency_slot("gpu", "two", "step").is_claimed
    assert storage.get_concurrency_info("gpu").pending_step_count == 1
    storage.free_concurrency_slots_for_run("one")
    assert storage.check_concurrency_claim("gpu", "two", "step").is_assigned
    storage.delete_concurrency_limit("gpu")
    assert storage.get_concurrency_keys() == set()


def test_daemons_keep_values_and_signs_of_life(instance: dg.DagsterInstance) -> None:
    storage = instance.run_storage
    storage.set_cursor_values({"one": "1", "two": "2"})
    storage.set_cursor_values({"two": "zwei"})
    assert storage.get_cursor_values({"one", "two", "three"}) == {"one": "1", "two": "zwei"}
    for daemon, at_s in (("SENSOR", 1.0), ("SENSOR", 2.0), ("SCHEDULER", 3.0)):
        instance.add_daemon_heartbeat(DaemonHeartbeat(at_s, daemon, "id"))
    beats = instance.get_daemon_heartbeats()
    assert {daemon: beat.timestamp for daemon, beat in beats.items()} == {"SENSOR": 2.0, "SCHEDULER": 3.0}


def test_backfills_are_kept_and_found_by_status(instance: dg.DagsterInstance) -> None:
    requested, completed = BulkActionStatus.REQUESTED, BulkActionStatus.COMPLETED
    backfill = PartitionBackfill("backfill", requested, False, {}, 1.0, asset_selection=[picture.key])
    instance.add_backfill(backfill)
    instance.update_backfill(backfill.with_status(completed))
    found = instance.get_backfill("backfill")
    assert found is not None
    assert found.status == completed
    assert found.asset_selection == [picture.key]


def test_the_state_and_the_ticks_of_a_sensor_are_kept_and_purged(instance: dg.DagsterInstance) -> None:
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("shop"), "shop"), "sensor")
    place = (origin.get_id(), origin.get_selector().get_id())
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING)
    instance.add_instigator_state(state)
    instance.update_instigator_state(state.with_status(InstigatorStatus.STOPPED))
    found = instance.get_instigator_state(*place)
    assert found is not None
    assert found.status == InstigatorStatus.STOPPED
    assert [each.instigator_name for each in instance.all_instigator_state()] == ["sensor"]
    for at_s, status in ((1.0, TickStatus.SKIPPED), (2.0, TickStatus.STARTED), (3.0, TickStatus.STARTED)):
        data = TickData(place[0], "sensor", InstigatorType.SENSOR, status, at_s, selector_id=place[1])
        tick = instance.create_tick(data)
    instance.update_tick(tick.with_status(TickStatus.SUCCESS))
    assert [each.status for each in instance.get_ticks(*place)] == [
        TickStatus.SUCCESS,
        TickStatus.STARTED,
        TickStatus.SKIPPED,
    ]
    instance.purge_ticks(*place, before=2.5, tick_statuses=[TickStatus.SKIPPED])
    assert [each.timestamp for each in instance.get_ticks(*place)] == [3.0, 2.0]


def test_many_threads_write_at_a_time(instance: dg.DagsterInstance) -> None:
    def one_run(_: int) -> str:
        run = create(instance)
        report(instance, run, dg.DagsterEventType.RUN_START, dg.DagsterEventType.RUN_SUCCESS)
        return run.run_id

    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(one_run, range(24)))
    done = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
    assert {run.run_id for run in done} == made


def test_the_webserver_ends_statements_that_take_too_long(instance: dg.DagsterInstance) -> None:
    instance.optimize_for_webserver(statement_timeout=200, pool_recycle=60, max_overflow=2)
    storage = instance.run_storage
    assert isinstance(storage, PostgresRunStorage)
    began_s = time.monotonic()
    with storage.connect() as connection, pytest.raises(OperationalError, match="statement timeout"):
        connection.execute(text("SELECT pg_sleep(10)"))
    assert time.monotonic() - began_s < 5
    assert instance.get_runs() == []


def test_the_schema_is_upgraded_and_indices_are_built_again(instance: dg.DagsterInstance) -> None:
    materialize(instance, "a")
    instance.upgrade()
    instance.reindex()
    assert instance.get_materialized_partitions(picture.key) == {"a"}


@pytest.mark.parametrize("kind", ["stock", "pooled"])
def test_in_an_empty_database_the_tables_are_made(kind: str, postgres_url: str, tmp_path: Path) -> None:
    with new_database(postgres_url) as url, instance_on(kind, url, tmp_path) as instance:
        materialize(instance, "a")
        assert instance.get_materialized_partitions(picture.key) == {"a"}
