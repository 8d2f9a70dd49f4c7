"""Removes runs and partitions from Dagster's storages with all that is kept of them, many at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import islice
from typing import TypeVar

from dagster import DagsterEventType, DagsterInstance, RunsFilter
from sqlalchemy import Column, ColumnElement, Connection, Table, delete, func, or_, select, update

from orchestration._dagster import (
    BULK_ACTION_TERMINAL_STATUSES,
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    BackfillTagsTable,
    BulkActionsTable,
    ConcurrencySlotsTable,
    InstigatorsTable,
    JobTable,
    JobTickTable,
    PendingStepsTable,
    RunsTable,
    RunTagsTable,
    SqlEventLogStorage,
    SqlEventLogStorageTable,
    SqlRunStorage,
    SqlScheduleStorage,
    TickData,
    deserialize_value,
)
from orchestration.compute_logs import FileComputeLogManager
from orchestration.storage import PooledEventLogStorage

T = TypeVar("T")
PARTITION_TAG = "dagster/partition"
_RUNS_AT_ONCE = 500
_PARTITIONS_AT_ONCE = 50
_TAGGED = [DagsterEventType.ASSET_MATERIALIZATION.value, DagsterEventType.ASSET_OBSERVATION.value]


def remove_runs(instance: DagsterInstance, run_ids: Collection[str]) -> None:
    """Removes these runs with their events, checks and slots, and the files of what their steps printed.

    Dagster's `delete_run` takes one run at a time and leaves checks and files. The row of a run goes last, so a run
    that a crash leaves half removed is found again.
    """
    for ids in in_parts(run_ids, _RUNS_AT_ONCE):
        for run_id in ids:
            instance.compute_log_manager.delete_logs(prefix=[run_id])
        _free_slots(instance, ids)
        with _events(instance) as connection:
            _remove_events(connection, SqlEventLogStorageTable.c.run_id.in_(ids))
            connection.execute(delete(AssetCheckExecutionsTable).where(AssetCheckExecutionsTable.c.run_id.in_(ids)))
        with _runs(instance) as connection:
            connection.execute(delete(RunTagsTable).where(RunTagsTable.c.run_id.in_(ids)))
            connection.execute(delete(RunsTable).where(RunsTable.c.run_id.in_(ids)))


def forget_partitions(instance: DagsterInstance, partitions_def_name: str, keys: Collection[str]) -> None:
    """Removes these partitions with their runs, and every mention of either: in assets, ticks and backfills.

    No run of them may be unfinished. The partition itself goes last, so one that a crash leaves is found again.
    """
    for part in in_parts(keys, _PARTITIONS_AT_ONCE):
        run_ids = instance.get_run_ids(RunsFilter(tags={PARTITION_TAG: list(part)}))
        _forget_in_assets(instance, part, run_ids)
        _forget_in_ticks(instance, [*part, *run_ids])
        _remove_backfills(instance, part)
        remove_runs(instance, run_ids)
        for key in part:
            instance.delete_dynamic_partition(partitions_def_name, key)


def remove_details(instance: DagsterInstance, before: datetime) -> int:
    """Removes the events of steps of runs that succeeded before this time; only from our own storage."""
    storage = instance.event_log_storage
    return storage.remove_details_before(before) if isinstance(storage, PooledEventLogStorage) else 0


def remove_leftovers(instance: DagsterInstance, before: datetime) -> None:
    """Removes what older versions left of removed runs, and what sensors logged before this time."""
    if isinstance(instance.event_log_storage, PooledEventLogStorage):
        instance.event_log_storage.remove_checks_without_run()
    logs = instance.compute_log_manager
    if isinstance(logs, FileComputeLogManager):
        for ids in in_parts(logs.runs_with_logs_before(before), _RUNS_AT_ONCE):
            kept = set(instance.get_run_ids(RunsFilter(run_ids=ids)))
            for run_id in ids:
                if run_id not in kept:
                    logs.delete_logs(prefix=[run_id])
        logs.remove_tick_logs_before(before)


def _forget_in_assets(instance: DagsterInstance, keys: Sequence[str], run_ids: Sequence[str]) -> None:
    """Removes events without a run, such as checks that somebody reported, and what assets say of their last run."""
    events, checks, assets = SqlEventLogStorageTable, AssetCheckExecutionsTable, AssetKeyTable
    of_checks = select(checks.c.evaluation_event_storage_id).where(checks.c.partition.in_(keys))
    with _events(instance) as connection:
        _remove_events(connection, events.c.id.in_(of_checks))
        # With the assets' names the index by asset and partition serves.
        _remove_events(connection, events.c.partition.in_(keys) & events.c.asset_key.in_(select(assets.c.asset_key)))
        connection.execute(delete(checks).where(checks.c.partition.in_(keys)))
        for column in (assets.c.last_materialization, assets.c.cached_status_data, assets.c.last_run_id):
            # Dagster finds each of them anew when it is NULL.
            naming = _names_any(column, [*keys, *run_ids])
            connection.execute(update(assets).where(naming).values({column.name: None}))


def _forget_in_ticks(instance: DagsterInstance, ids: Sequence[str]) -> None:
    """Removes ticks that name one of the ids, with their logs, and the ids from the last run key of each sensor."""
    ticks, storage = JobTickTable, instance.schedule_storage
    if storage is None:
        # An instance in memory has no sensors.
        return
    assert isinstance(storage, SqlScheduleStorage)
    with storage.connect() as connection:
        naming = select(ticks.c.id, ticks.c.tick_body).where(_names_any(ticks.c.tick_body, ids))
        for tick_id, body in connection.execute(naming).all():
            log_key = deserialize_value(body, TickData).log_key
            if log_key:
                instance.compute_log_manager.delete_logs(log_key=log_key)
            connection.execute(delete(ticks).where(ticks.c.id == tick_id))
        for column in (InstigatorsTable.c.instigator_body, JobTable.c.job_body):
            for each in ids:
                _strike_out(connection, column, each)


def _strike_out(connection: Connection, column: Column[str], text: str) -> None:
    struck = {column.name: func.replace(column, text, "removed")}
    table = column.table
    assert isinstance(table, Table)
    connection.execute(update(table).where(_names_any(column, [text])).values(struck))


def _remove_backfills(instance: DagsterInstance, keys: Sequence[str]) -> None:
    """Removes backfills that are over and name one of the partitions."""
    backfills, over = BulkActionsTable, [status.value for status in BULK_ACTION_TERMINAL_STATUSES]
    found = select(backfills.c.key).where(backfills.c.status.in_(over), _names_any(backfills.c.body, keys))
    with _runs(instance) as connection:
        ids = list(connection.scalars(found))
        connection.execute(delete(BackfillTagsTable).where(BackfillTagsTable.c.backfill_id.in_(ids)))
        connection.execute(delete(backfills).where(backfills.c.key.in_(ids)))


def _free_slots(instance: DagsterInstance, run_ids: Sequence[str]) -> None:
    """Frees what a run holds of a pool. An ended run nearly never holds anything."""
    with _events(instance) as connection:
        held = {
            run_id
            for table in (ConcurrencySlotsTable, PendingStepsTable)
            for run_id in connection.scalars(select(table.c.run_id).where(table.c.run_id.in_(run_ids)))
        }
    for run_id in held:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def _remove_events(connection: Connection, condition: ColumnElement[bool]) -> None:
    events, tags = SqlEventLogStorageTable, AssetEventTagsTable
    tagged = select(events.c.id).where(condition, events.c.dagster_event_type.in_(_TAGGED))
    connection.execute(delete(tags).where(tags.c.event_id.in_(tagged)))
    connection.execute(delete(events).where(condition))


def _names_any(column: Column[str], ids: Sequence[str]) -> ColumnElement[bool]:
    return or_(False, *(column.contains(each, autoescape=True) for each in ids))


def _events(instance: DagsterInstance) -> AbstractContextManager[Connection]:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    return storage.index_connection()


def _runs(instance: DagsterInstance) -> AbstractContextManager[Connection]:
    storage = instance.run_storage
    assert isinstance(storage, SqlRunStorage)
    return storage.connect()


def in_parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of so many items each; the last may be shorter."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
