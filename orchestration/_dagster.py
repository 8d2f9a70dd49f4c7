"""All that this library takes from Dagster's private modules; no other file imports from `dagster._…`.

Dagster may change each of these names in any version. So the version is pinned, tests/orchestration/test_tripwires.py
fails when the source of what we override or copied changes, and `make test-dagster VERSION=…` tries another version.

Besides these names, the classes here use or override private members of the classes they extend:

- storages: `_engine`, `_token_provider`, `_connect`, `_get_run_by_id`, `_store_asset_event_tags`, `_store_asset_event`,
  `_get_latest_materialization_records`, `_has_asset_key_col_on_connection`, `_has_instigators_table`
- run launcher and run coordinator: `_instance`, which `register_instance` sets
"""

from __future__ import annotations

from typing import TYPE_CHECKING

# The module that a run's job is defined in: only runs of the configured module are forked.
from dagster._core.code_pointer import ModuleCodePointer as ModuleCodePointer

# Finds the repository of a module that defines it with a function or by name, to build its jobs before the first fork.
from dagster._core.definitions.reconstruct import repository_def_from_target_def as repository_def_from_target_def

# Which events the stock storage files a second time, by asset and by check; its `store_event` is overridden.
from dagster._core.events import ASSET_CHECK_EVENTS as ASSET_CHECK_EVENTS
from dagster._core.events import ASSET_EVENTS as ASSET_EVENTS

# Shows the worker's process id in the UI beside "Started process for run".
from dagster._core.events import EngineEventData as EngineEventData

# Which backfills are over.
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES as BULK_ACTION_TERMINAL_STATUSES

# Sends what a step prints to a file; the stock log manager starts two more processes for each stream around it.
from dagster._core.execution.compute_logs import redirect_to_file as redirect_to_file

# A worker is given Dagster's instance in this form.
from dagster._core.instance.ref import InstanceRef as InstanceRef

# The interface of a run launcher: Dagster exports RunLauncher nowhere, nor what its methods take and return.
from dagster._core.launcher import CheckRunHealthResult as CheckRunHealthResult
from dagster._core.launcher import LaunchRunContext as LaunchRunContext
from dagster._core.launcher import RunLauncher as RunLauncher
from dagster._core.launcher import WorkerStatus as WorkerStatus

# Decides whether the pools of a run have room, as Dagster's queue does.
from dagster._core.op_concurrency_limits_counter import (
    GlobalOpConcurrencyLimitsCounter as GlobalOpConcurrencyLimitsCounter,
)

# What a sensor's tick did; it knows where its log is.
from dagster._core.scheduler.instigation import TickData as TickData

# The interface of a compute log manager.
from dagster._core.storage.compute_log_manager import CapturedLogContext as CapturedLogContext
from dagster._core.storage.compute_log_manager import ComputeIOType as ComputeIOType

# Where Dagster stores events and what belongs to them: it is removed from there in bulk.
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as AssetCheckExecutionsTable
from dagster._core.storage.event_log.schema import AssetEventTagsTable as AssetEventTagsTable
from dagster._core.storage.event_log.schema import AssetKeyTable as AssetKeyTable
from dagster._core.storage.event_log.schema import ConcurrencySlotsTable as ConcurrencySlotsTable
from dagster._core.storage.event_log.schema import PendingStepsTable as PendingStepsTable
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage as SqlEventLogStorage

# The stock compute log manager, whose `capture_logs` is overridden, and its names of files.
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION as IO_TYPE_EXTENSION
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager as LocalComputeLogManager

# The folder of an instance's own files; ours keeps a second daemon out.
from dagster._core.storage.root import LocalArtifactStorage as LocalArtifactStorage

# Where Dagster stores runs and backfills: they are removed from there in bulk.
from dagster._core.storage.runs.schema import BackfillTagsTable as BackfillTagsTable
from dagster._core.storage.runs.schema import BulkActionsTable as BulkActionsTable
from dagster._core.storage.runs.schema import RunsTable as RunsTable
from dagster._core.storage.runs.schema import RunTagsTable as RunTagsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage as SqlRunStorage

# Where Dagster stores what sensors did, and the last run key of each: a forgotten partition is removed from there.
from dagster._core.storage.schedules.schema import InstigatorsTable as InstigatorsTable
from dagster._core.storage.schedules.schema import JobTable as JobTable
from dagster._core.storage.schedules.schema import JobTickTable as JobTickTable
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage as SqlScheduleStorage

# Tags: the code server that runs a run, those that the UI does not show, and a run's place in the queue.
from dagster._core.storage.tags import GRPC_INFO_TAG as GRPC_INFO_TAG
from dagster._core.storage.tags import HIDDEN_TAG_PREFIX as HIDDEN_TAG_PREFIX
from dagster._core.storage.tags import PRIORITY_TAG as PRIORITY_TAG

# Imports a code location's module as Dagster's own code server does.
from dagster._core.workspace.autodiscovery import (
    loadable_targets_from_python_module as loadable_targets_from_python_module,
)

# Runs one run in this process and writes its events: the heart of Dagster's own run worker.
from dagster._grpc.impl import core_execute_run as core_execute_run

# What a run worker is told about its run.
from dagster._grpc.types import ExecuteRunArgs as ExecuteRunArgs

# The interface of whatever dagster.yaml names by module, class and config.
from dagster._serdes import ConfigurableClass as ConfigurableClass
from dagster._serdes import ConfigurableClassData as ConfigurableClassData

# The form in which Dagster stores values and hands them to its workers.
from dagster._serdes import deserialize_value as deserialize_value
from dagster._serdes import serialize_value as serialize_value

# Files of compute logs are made with these.
from dagster._utils import ensure_file as ensure_file
from dagster._utils import touch_file as touch_file

# Finds a run's job in the module that defines it; the repository is built once per process.
from dagster._utils.hosted_user_process import recon_job_from_origin as recon_job_from_origin

# Makes SIGINT an exception that Dagster turns into a canceled run.
from dagster._utils.interrupts import capture_interrupts as capture_interrupts

# Decides whether the limits by tag have room for a run, as Dagster's queue does.
from dagster._utils.tags import TagConcurrencyLimitsCounter as TagConcurrencyLimitsCounter

if TYPE_CHECKING:
    from dagster import DagsterInstance

    # The code servers, for the type of an argument that is passed on.
    from dagster._core.workspace.context import BaseWorkspaceRequestContext as BaseWorkspaceRequestContext

    # What the webserver serves, and what it makes of that for one request.
    from dagster._core.workspace.context import WorkspaceProcessContext as WorkspaceProcessContext
    from dagster._core.workspace.context import WorkspaceRequestContext as WorkspaceRequestContext

# Modules that Dagster imports in the middle of a run: the fork server imports them before it forks.
IMPORTED_DURING_A_RUN = (
    "dagster._core.execution.plan.active",
    "dagster._core.executor.in_process",
    "dagster._core.system_config.composite_descent",
)


def open_workspace(instance: DagsterInstance, file: str, *, version: str, read_only: bool) -> WorkspaceProcessContext:
    """Loads the code locations of a workspace.yaml for a webserver, and keeps watch over them until it is closed."""
    # Imported here: only the webserver needs it, and every run worker would carry it.
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    return WorkspaceProcessContext(instance, WorkspaceFileTarget([file]), version=version, read_only=read_only)
