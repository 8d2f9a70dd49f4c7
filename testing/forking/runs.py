"""Dagster instances whose runs are forked, and what a test does with their runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from orchestration._dagster import ModuleCodePointer
from orchestration.fork_launcher import ForkRunLauncher
from orchestration.storage import pooled_engine
from orchestration.worker_tag import Worker
from resources.settings import PROJECT
from testing.forking._dagster import (
    BaseWorkspaceRequestContext,
    EmptyWorkspaceTarget,
    JobPythonOrigin,
    ModuleTarget,
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
    RepositoryPythonOrigin,
    WorkspaceProcessContext,
    create_test_daemon_workspace_context,
)
from testing.forking.jobs import defs
from testing.processes import fork_servers
from testing.waiting import until

MODULE = "testing.forking.jobs"
LOCATION = "jobs"


def pooled_storages(url: str) -> dict[str, Any]:
    """The part of dagster.yaml that names the pooled storages."""
    names = {
        "run_storage": "PooledRunStorage",
        "event_log_storage": "PooledEventLogStorage",
        "schedule_storage": "PooledScheduleStorage",
    }
    return {
        kind: {"module": "orchestration.storage", "class": name, "config": {"postgres_url": url}}
        for kind, name in names.items()
    }


@contextmanager
def instance_on(storages: str, url: str, folder: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on PostgreSQL with Dagster's own launcher, and with the stock storages or the pooled ones."""
    stock = {"storage": {"postgres": {"postgres_url": url}}}
    config = {**(stock if storages == "stock" else pooled_storages(url)), "telemetry": {"enabled": False}}
    with dg.instance_for_test(overrides=config, temp_dir=str(folder)) as made:
        yield made


def fork_launcher(sources: Path, **config: Any) -> dict[str, Any]:
    """The part of dagster.yaml that names the fork launcher; a change below `sources` renews its server."""
    return {
        "run_launcher": {
            "module": "orchestration.fork_launcher",
            "class": "ForkRunLauncher",
            "config": {"module": MODULE, "source_folders": [str(sources)], **config},
        }
    }


@contextmanager
def forking_instance(url: str, folder: Path, config: dict[str, Any]) -> Iterator[dg.DagsterInstance]:
    """An instance with the pooled storages; afterwards none of its fork servers is left."""
    everywhere = {"telemetry": {"enabled": False}, "run_monitoring": {"enabled": True}}
    with dg.instance_for_test(overrides={**pooled_storages(url), **everywhere, **config}, temp_dir=str(folder)) as made:
        yield made
    until("the fork servers have ended", lambda: not fork_servers(psutil.Process(), recursive=True))
    pooled_engine(url).dispose()


@contextmanager
def code_server(instance: dg.DagsterInstance) -> Iterator[WorkspaceProcessContext]:
    """The same jobs behind a code server of Dagster's, as the daemon has it."""
    target = ModuleTarget(MODULE, None, str(PROJECT), LOCATION)
    with create_test_daemon_workspace_context(target, instance) as context:
        yield context


@contextmanager
def no_code_server(instance: dg.DagsterInstance) -> Iterator[WorkspaceProcessContext]:
    """What the daemon has where no code location is configured: enough for runs that are forked."""
    with create_test_daemon_workspace_context(EmptyWorkspaceTarget(), instance) as context:
        yield context


def remote_origin(job: str) -> RemoteJobOrigin:
    """The name of a job's code location, which Dagster's queue wants of each run."""
    return RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), "shop"), job)


@dataclass
class Runs:
    """Launches runs of the code location's jobs, and reads what became of them."""

    instance: dg.DagsterInstance

    @property
    def launcher(self) -> ForkRunLauncher:
        launcher = self.instance.run_launcher
        assert isinstance(launcher, ForkRunLauncher)
        return launcher

    def create(self, job: str, *, module: str = MODULE, **more: Any) -> dg.DagsterRun:
        pointer = ModuleCodePointer(module, "defs", str(PROJECT))
        return self.instance.create_run_for_job(
            defs.resolve_job_def(job),
            job_code_origin=JobPythonOrigin(job, RepositoryPythonOrigin("python", pointer)),
            **more,
        )

    def create_in(self, workspace: BaseWorkspaceRequestContext, job: str, **more: Any) -> dg.DagsterRun:
        """One that its code server can start, too."""
        [repository] = workspace.get_code_location(LOCATION).get_repositories().values()
        return self.create(job, remote_job_origin=repository.get_full_job(job).get_remote_origin(), **more)

    def create_for_queue(self, job: str, **more: Any) -> dg.DagsterRun:
        """One that can be submitted."""
        return self.create(job, remote_job_origin=remote_origin(job), **more)

    def launch(self, job: str, **more: Any) -> str:
        run = self.create(job, **more)
        self.instance.launch_run(run.run_id, None)  # type: ignore[arg-type]
        return run.run_id

    def get(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def worker(self, run_id: str) -> Worker:
        """Of a run that has started and does not end by itself."""
        self.until(run_id, dg.DagsterRunStatus.STARTED)
        return self.worker_of(run_id)

    def worker_of(self, run_id: str) -> Worker:
        worker = Worker.of_run(self.get(run_id))
        assert worker is not None
        return worker

    def until(self, run_id: str, status: dg.DagsterRunStatus, *, within_s: float = 40.0) -> float:
        """Returns how long it took."""
        return until(
            f"the run is {status.value}",
            lambda: self.get(run_id).status == status,
            within_s=within_s,
            details=lambda: self.messages(run_id),
        )

    def messages(self, run_id: str) -> str:
        return "\n".join(entry.message for entry in self.instance.all_logs(run_id))

    def until_said(self, run_id: str, message: str) -> None:
        until(f"the run's events say {message!r}", lambda: message in self.messages(run_id))

    def pid_of_server(self) -> int:
        return self.launcher.prepare().pid
