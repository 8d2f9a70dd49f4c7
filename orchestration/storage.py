"""Dagster's PostgreSQL storages with one small pool a process, where the stock ones connect anew for each statement."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from typing import Any, Self, cast

from dagster import AssetKey, DagsterEvent, DagsterEventType, DagsterRunStatus, EventLogEntry, EventLogRecord, Field
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from dagster_postgres.utils import (
    create_pg_engine,
    get_token_provider_from_config,
    pg_config,
    pg_url_from_config,
    retry_pg_connection_fn,
)
from sqlalchemy import Connection, Engine, delete, inspect, make_url, select
from sqlalchemy.pool import QueuePool

from orchestration._dagster import (
    ASSET_CHECK_EVENTS,
    ASSET_EVENTS,
    AssetCheckExecutionsTable,
    ConfigurableClassData,
    RunsTable,
    SqlEventLogStorageTable,
    deserialize_value,
)
from orchestration.instance_guard import required_variable
from orchestration.keepalive import KEEPALIVE
from orchestration.lean_events import lean
from orchestration.pool_ping import ping_rested_connections
from orchestration.schema_url import in_schema

# A process keeps so many idle connections; under load it opens more, and closes them afterwards.
_POOL_SIZE = 2
_MAX_OVERFLOW = 30

_engines: dict[tuple[str, int | None], Engine] = {}
_lock = threading.Lock()


def pooled_engine(url: str, token_provider: Any = None, statement_timeout_ms: int | None = None) -> Engine:
    """The one engine of this process for a database; `statement_timeout_ms` ends longer statements.

    An engine with a token provider is the caller's own, for its connections are nobody else's.
    """
    if token_provider is not None:
        return _engine(url, token_provider, statement_timeout_ms)
    with _lock:
        key = (url, statement_timeout_ms)
        if key not in _engines:
            _engines[key] = _engine(url, None, statement_timeout_ms)
        return _engines[key]


def close_connections() -> None:
    """Closes the idle connections of this process's pools; the next statement opens others."""
    with _lock:
        for engine in _engines.values():
            engine.dispose()


def _engine(url: str, token_provider: Any, statement_timeout_ms: int | None) -> Engine:
    options = str(make_url(url).query.get("options", ""))
    if statement_timeout_ms is not None:
        options = f"{options} -c statement_timeout={statement_timeout_ms}".strip()
    engine = create_pg_engine(
        url,
        token_provider,
        isolation_level="AUTOCOMMIT",
        poolclass=QueuePool,
        pool_size=_POOL_SIZE,
        max_overflow=_MAX_OVERFLOW,
        connect_args={**KEEPALIVE, **({"options": options} if options else {})},
    )
    ping_rested_connections(engine)
    # Two processes must not write to one connection, and a child that closes it would end its parent's session.
    os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))
    return engine


def _new_lock() -> None:
    # A thread of the parent may hold the old one, and that thread does not exist in the child.
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_new_lock)


# A dynamic partition that was found counts as existing for so long.
_PARTITION_KNOWN_S = 2.0
_MOST_PARTITIONS = 1000
_partitions_until_s: dict[tuple[str, str, str], float] = {}

_PLANNED = [
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value,
    DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value,
    DagsterEventType.RESOURCE_INIT_STARTED.value,
    DagsterEventType.RESOURCE_INIT_SUCCESS.value,
]
_NO_METADATA = '"metadata_entries":[],"step_output_handle"'
_DETAILS = [
    DagsterEventType.STEP_START.value,
    DagsterEventType.STEP_SUCCESS.value,
    DagsterEventType.STEP_OUTPUT.value,
    DagsterEventType.STEP_INPUT.value,
    DagsterEventType.HANDLED_OUTPUT.value,
    DagsterEventType.LOADED_INPUT.value,
    DagsterEventType.ENGINE_EVENT.value,
    DagsterEventType.RUN_ENQUEUED.value,
    DagsterEventType.RUN_DEQUEUED.value,
    DagsterEventType.RUN_STARTING.value,
]

# What the database's catalog has, by database: it stays, and a forked process need not ask again.
_found: set[tuple[str, ...]] = set()
_tables: dict[str, set[str]] = {}


def _cached_when_true(stock: type[Any], name: str) -> Any:
    """The stock method of this name, which asks the database's catalog before nearly every statement.

    Once it has answered True it is not asked again.
    """
    ask = getattr(stock, name)

    @wraps(ask)
    def cached(self: _Pooled, *arguments: Any) -> bool:
        key = (str(self.postgres_url), stock.__name__, name, *(each for each in arguments if isinstance(each, str)))
        if key not in _found and ask(self, *arguments):
            _found.add(key)
        return key in _found

    return cached


class _Pooled:
    """What the three storages have in common: the pooled engine in place of the stock one. The first base class."""

    stock: type[Any]
    tables: frozenset[str]
    _engine: Engine
    _token_provider: Any

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: Any = None,
    ) -> None:
        self.stock.__init__(self, postgres_url, False, inst_data, token_provider)
        self.should_autocreate_tables = should_autocreate_tables
        self._engine = pooled_engine(postgres_url, token_provider)
        if should_autocreate_tables and not self._has_tables(self.tables):
            # The stock class creates them in its constructor; it connects there, so it is made only now.
            self.stock(postgres_url, True, None, token_provider)

    def _has_tables(self, names: Collection[str]) -> bool:
        known = _tables.setdefault(str(self.postgres_url), set())
        if not known.issuperset(names):
            known.update(retry_pg_connection_fn(lambda: inspect(self._engine).get_table_names()))
        return known.issuperset(names)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """As the stock classes', or the name of the variable with the URL, and the schema that the tables are in."""
        return {
            **cast(dict[str, Any], pg_config()),
            "url_variable": Field(str, is_required=False, description="The variable that holds the database's URL."),
            "without_it": Field(str, default_value="set it", description="What the user is told where it is not set."),
            "schema": Field(str, is_required=False, description="The schema of Dagster's tables, first in the path."),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(
            postgres_url=_url(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
            token_provider=get_token_provider_from_config(config_value),
        )

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """The webserver's statements end after `statement_timeout` ms; the pool is like every other process's."""
        self._engine = pooled_engine(str(self.postgres_url), self._token_provider, statement_timeout)

    postgres_url: str


def _url(config_value: Mapping[str, Any]) -> str:
    if "url_variable" not in config_value:
        return pg_url_from_config(config_value)
    url = required_variable(config_value["url_variable"], config_value["without_it"])
    return in_schema(url, config_value["schema"]) if "schema" in config_value else url


class PooledRunStorage(_Pooled, PostgresRunStorage):
    """Runs, snapshots, heartbeats and backfills in PostgreSQL, over the pool."""

    stock = PostgresRunStorage
    tables = frozenset({"runs", "instance_info"})

    has_built_index = _cached_when_true(PostgresRunStorage, "has_built_index")
    has_run_stats_index_cols = _cached_when_true(PostgresRunStorage, "has_run_stats_index_cols")
    has_bulk_actions_selector_cols = _cached_when_true(PostgresRunStorage, "has_bulk_actions_selector_cols")
    has_backfill_id_column = _cached_when_true(PostgresRunStorage, "has_backfill_id_column")
    has_bulk_action_job_name_column = _cached_when_true(PostgresRunStorage, "has_bulk_action_job_name_column")
    has_backfill_tags_table = _cached_when_true(PostgresRunStorage, "has_backfill_tags_table")

    def handle_run_event(self, run_id: str, event: DagsterEvent, update_timestamp: datetime | None = None) -> None:
        """As the stock class does, but a run that has begun does not go back to starting.

        The queue may report a run as starting after PromptRunCoordinator has launched it.
        """
        if event.event_type is DagsterEventType.RUN_STARTING:
            run = self._get_run_by_id(run_id)
            if run is not None and run.status not in (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.QUEUED):
                return
        super().handle_run_event(run_id, event, update_timestamp)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction in Dagster's database, on a connection of its own; it ends with the block."""
        engine = self._engine.execution_options(isolation_level="READ COMMITTED")
        with engine.begin() as connection:
            yield connection


class PooledEventLogStorage(_Pooled, PostgresEventLogStorage):
    """Events, assets, partitions and concurrency slots in PostgreSQL, over the pool."""

    stock = PostgresEventLogStorage
    tables = frozenset({"event_logs"})

    has_secondary_index = _cached_when_true(PostgresEventLogStorage, "has_secondary_index")
    has_asset_key_col = _cached_when_true(PostgresEventLogStorage, "has_asset_key_col")
    _has_asset_key_col_on_connection = _cached_when_true(PostgresEventLogStorage, "_has_asset_key_col_on_connection")

    def has_table(self, table_name: str) -> bool:
        return self._has_tables([table_name])

    def _event_to_row(self, event: EventLogEntry) -> dict[str, Any]:
        """As the stock class does, but the text has no more in it than Dagster needs to read the event back."""
        row = super()._event_to_row(event)
        return {**row, "event": lean(row["event"])}

    def store_event(self, event: EventLogEntry) -> None:
        """As the stock class does, but without the NOTIFY after each event: nothing of this version listens to it.

        When a run succeeds, what only a run at work or a failed one needs of its events is removed.
        """
        with self._connect() as connection:
            inserted = self.prepare_insert_event(event).returning(SqlEventLogStorageTable.c.id)
            event_id = int(connection.execute(inserted).scalar_one())
        dagster_event = event.dagster_event
        if dagster_event is None:
            return
        if dagster_event.event_type in ASSET_EVENTS and dagster_event.asset_key:
            with self.index_transaction() as connection:
                self._store_asset_event_tags(connection, [event], [event_id])
                self._store_asset_event(connection, event, event_id)
        if dagster_event.event_type in ASSET_CHECK_EVENTS:
            self.store_asset_check_event(event, event_id)
        if dagster_event.event_type is DagsterEventType.RUN_SUCCESS:
            self._remove_what_is_over(event.run_id)

    def _get_latest_materialization_records(self, raw_asset_rows: Iterable[Any]) -> Mapping[AssetKey, Any]:
        """As the stock class does, but without its second query where each asset's own row holds the answer."""
        rows = list(raw_asset_rows)
        records = {AssetKey.from_db_string(row["asset_key"]): _kept_record(row) for row in rows}
        if None in records or None in records.values():
            return super()._get_latest_materialization_records(rows)
        return records  # type: ignore[return-value]

    def has_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> bool:
        """As the stock class does, but what was found counts as existing for two seconds: a run asks thirty times."""
        key, now_s = (str(self.postgres_url), partitions_def_name, partition_key), time.monotonic()
        if now_s < _partitions_until_s.get(key, 0.0):
            return True
        if not super().has_dynamic_partition(partitions_def_name, partition_key):
            return False
        if len(_partitions_until_s) >= _MOST_PARTITIONS:
            _partitions_until_s.clear()
        _partitions_until_s[key] = now_s + _PARTITION_KNOWN_S
        return True

    def _remove_what_is_over(self, run_id: str) -> None:
        """Outputs are read to run a failed run again; what a run will make matters until it is made."""
        events = SqlEventLogStorageTable
        is_output = events.c.dagster_event_type == DagsterEventType.STEP_OUTPUT.value
        # The metadata of an op's output stands nowhere else.
        is_over = events.c.dagster_event_type.in_(_PLANNED) | (is_output & events.c.event.contains(_NO_METADATA))
        with self._connect() as connection:
            connection.execute(delete(events).where(events.c.run_id == run_id, is_over))

    def remove_details_before(self, when: datetime) -> int:
        """Removes when each step began and ended, and the like, of runs that succeeded before this time.

        Materializations, checks, what was logged, and the run's own start and end stay. Returns how many it removed.
        """
        events, runs = SqlEventLogStorageTable, RunsTable
        succeeded = select(runs.c.run_id).where(
            runs.c.run_id == events.c.run_id, runs.c.status == DagsterRunStatus.SUCCESS.value
        )
        old = events.c.dagster_event_type.in_(_DETAILS) & (events.c.timestamp < when.replace(tzinfo=None))
        with self.index_connection() as connection:
            return connection.execute(delete(events).where(old, succeeded.exists())).rowcount

    def remove_checks_without_run(self) -> int:
        """Removes the checks of runs that were removed with Dagster's `delete_run`, which leaves them behind."""
        checks = AssetCheckExecutionsTable
        of_a_run = select(RunsTable.c.run_id).where(RunsTable.c.run_id == checks.c.run_id).exists()
        with self.index_connection() as connection:
            return connection.execute(delete(checks).where(checks.c.run_id != "", ~of_a_run)).rowcount

    def delete_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> None:
        _partitions_until_s.pop((str(self.postgres_url), partitions_def_name, partition_key), None)
        super().delete_dynamic_partition(partitions_def_name, partition_key)


def _kept_record(row: Mapping[str, Any]) -> EventLogRecord | None:
    """The last materialization, where the asset's own row holds it and nothing has been wiped."""
    if not row["last_materialization"] or row["asset_details"]:
        return None
    kept = deserialize_value(row["last_materialization"])
    return kept if isinstance(kept, EventLogRecord) else None


class PooledScheduleStorage(_Pooled, PostgresScheduleStorage):
    """Sensors, schedules and their ticks in PostgreSQL, over the pool."""

    stock = PostgresScheduleStorage
    tables = frozenset({"jobs"})

    has_built_index = _cached_when_true(PostgresScheduleStorage, "has_built_index")
    has_instigators_table = _cached_when_true(PostgresScheduleStorage, "has_instigators_table")
    _has_instigators_table = _cached_when_true(PostgresScheduleStorage, "_has_instigators_table")
