"""What only the tests take from Dagster's private modules."""

# A run's job by module and name, as the code server of a real service would write it into the run.
from dagster._core.origin import JobPythonOrigin as JobPythonOrigin
from dagster._core.origin import RepositoryPythonOrigin as RepositoryPythonOrigin

# A code server of the tests' own, as the daemon sees it.
from dagster._core.test_utils import create_test_daemon_workspace_context as create_test_daemon_workspace_context
from dagster._core.workspace.context import BaseWorkspaceRequestContext as BaseWorkspaceRequestContext
from dagster._core.workspace.context import WorkspaceProcessContext as WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget as ModuleTarget

# Dagster's queue, which takes its turn when a test says so.
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import (
    QueuedRunCoordinatorDaemon as QueuedRunCoordinatorDaemon,
)
