"""What only the tests take from Dagster's private modules."""

# Dagster's own run worker, after which orchestration/fork_worker.py was written.
from dagster._cli.api import _execute_run_command_body as _execute_run_command_body
from dagster._cli.api import _shutdown_threads as _shutdown_threads
from dagster._cli.api import execute_run_command as execute_run_command

# What storages keep for backfills, sensors and daemons.
from dagster._core.definitions.run_request import InstigatorType as InstigatorType
from dagster._core.execution.backfill import BulkActionStatus as BulkActionStatus
from dagster._core.execution.backfill import PartitionBackfill as PartitionBackfill

# Which steps of a failed run Dagster runs again.
from dagster._core.execution.plan.state import KnownExecutionState as KnownExecutionState

# A run's job by module and name, as the code server of a real service would write it into the run.
from dagster._core.origin import JobPythonOrigin as JobPythonOrigin
from dagster._core.origin import RepositoryPythonOrigin as RepositoryPythonOrigin

# The names of jobs and sensors in their code location and repository; and the state and ticks of a sensor.
from dagster._core.remote_origin import RegisteredCodeLocationOrigin as RegisteredCodeLocationOrigin
from dagster._core.remote_origin import RemoteInstigatorOrigin as RemoteInstigatorOrigin
from dagster._core.remote_origin import RemoteJobOrigin as RemoteJobOrigin
from dagster._core.remote_origin import RemoteRepositoryOrigin as RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState as InstigatorState
from dagster._core.scheduler.instigation import InstigatorStatus as InstigatorStatus
from dagster._core.scheduler.instigation import SensorInstigatorData as SensorInstigatorData
from dagster._core.scheduler.instigation import TickData as TickData
from dagster._core.scheduler.instigation import TickStatus as TickStatus

# Which of the streams of a step or a tick.
from dagster._core.storage.compute_log_manager import ComputeIOType as ComputeIOType

# Which tags the UI does not show.
from dagster._core.storage.tags import get_tag_type as get_tag_type

# A code server of the tests' own, as the daemon sees it.
from dagster._core.test_utils import create_test_daemon_workspace_context as create_test_daemon_workspace_context
from dagster._core.workspace.context import BaseWorkspaceRequestContext as BaseWorkspaceRequestContext
from dagster._core.workspace.context import WorkspaceProcessContext as WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget as EmptyWorkspaceTarget
from dagster._core.workspace.load_target import ModuleTarget as ModuleTarget

# Dagster's queue, which takes its turn when a test says so; and a sign of life of a daemon.
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import (
    QueuedRunCoordinatorDaemon as QueuedRunCoordinatorDaemon,
)
from dagster._daemon.types import DaemonHeartbeat as DaemonHeartbeat
