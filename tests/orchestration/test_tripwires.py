"""The parts of Dagster that this library overrides, copied or was written after: each is still what it was.

A test that fails here means that somebody has to read what has changed; then the new digest is written here.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import dagster as dg
import pytest
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from dagster_webserver.cli import dagster_webserver
from dagster_webserver.webserver import DagsterWebserver

from orchestration._dagster import (
    CheckRunHealthResult,
    GlobalOpConcurrencyLimitsCounter,
    LocalComputeLogManager,
    RunLauncher,
    TagConcurrencyLimitsCounter,
    core_execute_run,
    redirect_to_file,
)
from testing.forking._dagster import (
    QueuedRunCoordinatorDaemon,
    _execute_run_command_body,
    _shutdown_threads,
    execute_run_command,
    get_tag_type,
)


class Tripwire(NamedTuple):
    theirs: Callable[..., Any]
    digest: str
    ours: str


TRIPWIRES = [
    Tripwire(execute_run_command.callback, "6f879a8e825b", "fork_worker.execute_run follows it"),  # type: ignore[arg-type]
    Tripwire(
        _execute_run_command_body,
        "62fe62ba9f8d",
        "fork_worker.execute_run follows it, without metrics and cancel threads",
    ),
    Tripwire(_shutdown_threads, "1610e6a5882b", "fork_worker.execute_run writes its last event"),
    Tripwire(core_execute_run, "b7189f5db76a", "fork_worker.execute_run runs it"),
    Tripwire(RunLauncher, "1d9081e8acb0", "ForkRunLauncher implements it"),
    Tripwire(CheckRunHealthResult, "d8ad66c8c068", "ForkRunLauncher.check_run_worker_health returns it"),
    Tripwire(
        dg.DefaultRunLauncher.launch_run, "596ed71c0d66", "ForkRunLauncher leaves the runs to it that it cannot fork"
    ),
    Tripwire(
        dg.DefaultRunLauncher.terminate,
        "ee0ad72e3581",
        "ForkRunLauncher.terminate keeps its order: status first, then signal",
    ),
    Tripwire(dg.QueuedRunCoordinator.submit_run, "64f8c1aa8ae7", "PromptRunCoordinator.submit_run overrides it"),
    Tripwire(dg.QueuedRunCoordinator.cancel_run, "57ef3ccf9de4", "PromptRunCoordinator inherits it"),
    Tripwire(
        QueuedRunCoordinatorDaemon._get_runs_to_dequeue,
        "42a4e3896cae",
        "PromptRunCoordinator._has_room copies its rules",
    ),
    Tripwire(QueuedRunCoordinatorDaemon._priority_sort, "1f5a80955ee3", "coordinator._priority copies it"),
    Tripwire(
        QueuedRunCoordinatorDaemon._get_in_progress_run_records,
        "34cf53f67e2b",
        "PromptRunCoordinator._in_progress copies it",
    ),
    Tripwire(
        QueuedRunCoordinatorDaemon._dequeue_run, "679fd42e7b20", "PromptRunCoordinator.claim_launch expects its events"
    ),
    Tripwire(
        GlobalOpConcurrencyLimitsCounter.__init__, "e63474a4a964", "PromptRunCoordinator._has_room counts pools with it"
    ),
    Tripwire(GlobalOpConcurrencyLimitsCounter.is_blocked, "68661021e6ab", "PromptRunCoordinator._has_room asks it"),
    Tripwire(TagConcurrencyLimitsCounter, "a6d5eec1308a", "PromptRunCoordinator._has_room asks it"),
    Tripwire(PostgresRunStorage.__init__, "c20e1fcd1ee5", "PooledRunStorage calls it and replaces its engine"),
    Tripwire(PostgresRunStorage.from_config_value, "78ffe37ccb0d", "PooledRunStorage.from_config_value copies it"),
    Tripwire(
        PostgresRunStorage.optimize_for_webserver,
        "c084cd79114d",
        "PooledRunStorage.optimize_for_webserver overrides it",
    ),
    Tripwire(PostgresRunStorage.handle_run_event, "1c95c3b77926", "PooledRunStorage.handle_run_event overrides it"),
    Tripwire(PostgresRunStorage.has_built_index, "30d81a020462", "PooledRunStorage remembers its answer"),
    Tripwire(PostgresRunStorage.has_run_stats_index_cols, "7fc623624093", "PooledRunStorage remembers its answer"),
    Tripwire(
        PostgresRunStorage.has_bulk_actions_selector_cols, "394d48b0f48b", "PooledRunStorage remembers its answer"
    ),
    Tripwire(PostgresRunStorage.has_backfill_id_column, "ec96ba873816", "PooledRunStorage remembers its answer"),
    Tripwire(
        PostgresRunStorage.has_bulk_action_job_name_column, "f6a5c83b2fec", "PooledRunStorage remembers its answer"
    ),
    Tripwire(PostgresRunStorage.has_backfill_tags_table, "0b1471bca73b", "PooledRunStorage remembers its answer"),
    Tripwire(PostgresRunStorage.set_cursor_values, "b94e7cb6aeef", "fork_server_state keeps the state with it"),
    Tripwire(
        PostgresEventLogStorage.__init__, "647dff00b58c", "PooledEventLogStorage calls it and replaces its engine"
    ),
    Tripwire(
        PostgresEventLogStorage.from_config_value, "c2785eb9f98f", "PooledEventLogStorage.from_config_value copies it"
    ),
    Tripwire(PostgresEventLogStorage.optimize_for_webserver, "c084cd79114d", "PooledEventLogStorage overrides it"),
    Tripwire(
        PostgresEventLogStorage.store_event,
        "4a2e37e5871b",
        "PooledEventLogStorage.store_event copies it, without NOTIFY",
    ),
    Tripwire(
        PostgresEventLogStorage._event_to_row, "93d47fbe7edc", "PooledEventLogStorage._event_to_row shortens its text"
    ),
    Tripwire(dg.DagsterEvent.__new__, "08776c6d4632", "lean_events.lean leaves out what it derives"),
    Tripwire(dg.DagsterInstance.delete_run, "a281b2314943", "removal.remove_runs does it in bulk, in another order"),
    Tripwire(
        PostgresEventLogStorage.delete_events_for_run,
        "63bcf3634eaf",
        "removal removes events and their tags as it does",
    ),
    Tripwire(
        PostgresEventLogStorage._get_latest_materialization_records,
        "1eb21503ca39",
        "PooledEventLogStorage._get_latest_materialization_records shortens it",
    ),
    Tripwire(PostgresEventLogStorage.has_table, "78217fbd74d0", "PooledEventLogStorage.has_table remembers its answer"),
    Tripwire(PostgresEventLogStorage.has_secondary_index, "3898cc97557b", "PooledEventLogStorage remembers its answer"),
    Tripwire(PostgresEventLogStorage.has_asset_key_col, "042827679888", "PooledEventLogStorage remembers its answer"),
    Tripwire(
        PostgresEventLogStorage._has_asset_key_col_on_connection,
        "981049dfa81d",
        "PooledEventLogStorage remembers its answer",
    ),
    Tripwire(
        PostgresEventLogStorage.has_dynamic_partition, "d1e1e2708122", "PooledEventLogStorage remembers its answer"
    ),
    Tripwire(
        PostgresEventLogStorage.delete_dynamic_partition,
        "6e0f35e74c60",
        "PooledEventLogStorage forgets that answer here",
    ),
    Tripwire(
        PostgresScheduleStorage.__init__, "ac8f466b4e76", "PooledScheduleStorage calls it and replaces its engine"
    ),
    Tripwire(
        PostgresScheduleStorage.from_config_value, "b7b65bacce37", "PooledScheduleStorage.from_config_value copies it"
    ),
    Tripwire(PostgresScheduleStorage.optimize_for_webserver, "c084cd79114d", "PooledScheduleStorage overrides it"),
    Tripwire(PostgresScheduleStorage.has_built_index, "eda36d02da3b", "PooledScheduleStorage remembers its answer"),
    Tripwire(
        PostgresScheduleStorage.has_instigators_table, "8dd847003abe", "PooledScheduleStorage remembers its answer"
    ),
    Tripwire(
        PostgresScheduleStorage._has_instigators_table, "ec5ec72bffb6", "PooledScheduleStorage remembers its answer"
    ),
    Tripwire(LocalComputeLogManager.__init__, "44cd00358bf5", "FileComputeLogManager calls it"),
    Tripwire(
        LocalComputeLogManager.capture_logs,
        "8f2978767b32",
        "FileComputeLogManager.capture_logs copies it, without `tail`",
    ),
    Tripwire(redirect_to_file, "54cbce1287b1", "FileComputeLogManager.capture_logs uses it"),
    Tripwire(
        DagsterWebserver.build_routes, "040a463edec4", "webserver.NOT_PAGES and its refusals are for these routes"
    ),
    Tripwire(DagsterWebserver.build_middleware, "091627dc51f0", "GuardedWebserver.build_middleware extends it"),
    Tripwire(
        DagsterWebserver.graphql_http_endpoint,
        "558ea2bb9000",
        "GuardedWebserver refuses what it would take from a foreign page",
    ),
    Tripwire(DagsterWebserver.graphql_ws_endpoint, "8e3fbfa7eeb1", "SameOrigin refuses it to foreign pages"),
    Tripwire(dagster_webserver.callback, "8ee94f3a94ac", "webserver.main does what it does, without telemetry"),  # type: ignore[arg-type]
    Tripwire(get_tag_type, "6eb923ae120e", "worker_tag.WORKER_TAG is hidden by it"),
]


def name_of(theirs: Callable[..., Any]) -> str:
    return f"{theirs.__module__}.{theirs.__qualname__}"


def digest_of(theirs: Callable[..., Any]) -> str:
    return hashlib.sha256(inspect.getsource(theirs).encode()).hexdigest()[:12]


@pytest.mark.parametrize("wire", TRIPWIRES, ids=lambda wire: name_of(wire.theirs))
def test_dagster_has_not_changed(wire: Tripwire) -> None:
    now = digest_of(wire.theirs)
    assert now == wire.digest, (
        f"Dagster changed {name_of(wire.theirs)}: read the difference. {wire.ours}."
        f" When that is right again, write the new digest {now} here."
    )


def test_a_change_is_named_with_what_of_ours_depends_on_it() -> None:
    expected = r"Dagster changed .*redirect_to_file: read the difference\. Our logs use it\. .* new digest [0-9a-f]{12}"
    with pytest.raises(AssertionError, match=expected):
        test_dagster_has_not_changed(Tripwire(redirect_to_file, "000000000000", "Our logs use it"))
