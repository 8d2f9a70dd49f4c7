"""The fork launcher on real PostgreSQL, without a daemon: runs are handed to it directly."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from orchestration._dagster import ModuleCodePointer, WorkerStatus
from orchestration.fork_launcher import ForkRunLauncher
from orchestration.fork_server import ForkServerError
from orchestration.storage import pooled_engine
from orchestration.worker_tag import WORKER_TAG, Worker
from resources.settings import PROJECT
from testing.databases import new_database
from testing.processes import fork_servers
from tests.orchestration._dagster import (
    BaseWorkspaceRequestContext,
    JobPythonOrigin,
    ModuleTarget,
    RepositoryPythonOrigin,
    create_test_daemon_workspace_context,
)
from tests.orchestration.forked_jobs import defs
from tests.orchestration.test_storage import instance_config

MODULE = "tests.orchestration.forked_jobs"


@dataclass
class Runs:
    """Launches runs of the code location's jobs and looks at them."""

    instance: dg.DagsterInstance
    sources: Path

    @property
    def launcher(self) -> ForkRunLauncher:
        launcher = self.instance.run_launcher
        assert isinstance(launcher, ForkRunLauncher)
        return launcher

    def create(self, job: str, **more: Any) -> dg.DagsterRun:
        pointer = ModuleCodePointer(MODULE, "defs", str(PROJECT))
        return self.instance.create_run_for_job(
            defs.resolve_job_def(job),
            job_code_origin=JobPythonOrigin(job, RepositoryPythonOrigin("python", pointer)),
            **more,
        )

    def launch(self, job: str, **more: Any) -> str:
        run = self.create(job, **more)
        self.instance.launch_run(run.run_id, None)  # type: ignore[arg-type]
        return run.run_id

    def get(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def worker(self, run_id: str) -> Worker:
        self.until(run_id, dg.DagsterRunStatus.STARTED)
        worker = Worker.of_run(self.get(run_id))
        assert worker is not None
        return worker

    def until(self, run_id: str, status: dg.DagsterRunStatus, *, within_s: float = 20.0) -> float:
        """Returns how long it took."""
        return wait(lambda: self.get(run_id).status == status, within_s=within_s)

    def messages(self, run_id: str) -> str:
        return "\n".join(entry.message for entry in self.instance.all_logs(run_id))

    def pid_of_server(self) -> int:
        return self.launcher.prepare().pid


def wait(what: Callable[[], bool], *, within_s: float = 20.0) -> float:
    began_s = time.monotonic()
    while not what():
        assert time.monotonic() - began_s < within_s, f"not within {within_s} s"
        time.sleep(0.02)
    return time.monotonic() - began_s


@pytest.fixture
def runs(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "one.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("PRELOAD_MODELS", "false")
    launcher = {
        "module": "orchestration.fork_launcher",
        "class": "ForkRunLauncher",
        "config": {"module": MODULE, "source_folder": str(sources), "renew_after_runs": 3},
    }
    with new_database(postgres_url) as url:
        config = {**instance_config(url), "run_launcher": launcher, "run_monitoring": {"enabled": True}}
        with dg.instance_for_test(overrides=config, temp_dir=str(tmp_path)) as instance:
            yield Runs(instance, sources)
        wait(lambda: not fork_servers(psutil.Process(), recursive=True))
        pooled_engine(url).dispose()


def test_a_run_is_a_fork_of_the_server_and_succeeds(runs: Runs) -> None:
    run_id = runs.launch("quick_job")
    runs.until(run_id, dg.DagsterRunStatus.SUCCESS)
    messages = runs.messages(run_id)
    assert f"Started process for run (pid: {Worker.of_run(runs.get(run_id)).pid})" in messages  # type: ignore[union-attr]
    wait(lambda: "Process for run exited" in runs.messages(run_id))
    assert psutil.Process(runs.pid_of_server()).num_threads() == 1


def test_a_run_whose_asset_fails_fails_once_with_its_own_error(runs: Runs) -> None:
    run_id = runs.launch("failed_job")
    runs.until(run_id, dg.DagsterRunStatus.FAILURE)
    wait(lambda: "Process for run exited" in runs.messages(run_id))
    time.sleep(0.5)
    assert "on purpose" in str([entry.dagster_event for entry in runs.instance.all_logs(run_id)])
    assert "before the run was over" not in runs.messages(run_id)


@pytest.mark.parametrize(
    ("job", "expected"),
    [("killed_job", "SIGKILL"), ("crashed_job", "Segmentation fault"), ("left_job", "exit code 7")],
)
def test_a_worker_that_dies_fails_its_run_at_once_and_says_how(runs: Runs, job: str, expected: str) -> None:
    run_id = runs.launch(job)
    assert runs.until(run_id, dg.DagsterRunStatus.FAILURE, within_s=5) < 5
    assert expected in runs.messages(run_id)


def test_a_terminated_run_is_canceled_by_its_own_worker(runs: Runs) -> None:
    run_id = runs.launch("slow_job")
    worker = runs.worker(run_id)
    assert runs.launcher.terminate(run_id)
    assert runs.until(run_id, dg.DagsterRunStatus.CANCELED) < 5
    wait(lambda: not worker.is_alive)
    assert not runs.launcher.terminate(run_id)


def test_a_run_is_terminated_by_a_process_that_did_not_launch_it(runs: Runs) -> None:
    run_id = runs.launch("slow_job")
    runs.worker(run_id)
    with dg.DagsterInstance.from_ref(runs.instance.get_ref()) as webserver:
        assert webserver.run_launcher.terminate(run_id)
    runs.until(run_id, dg.DagsterRunStatus.CANCELED)


def test_a_run_terminated_before_its_worker_has_begun_is_canceled(runs: Runs) -> None:
    runs.pid_of_server()
    run_id = runs.launch("slow_job")
    assert runs.launcher.terminate(run_id)
    runs.until(run_id, dg.DagsterRunStatus.CANCELED)


def test_a_process_that_only_has_the_number_of_a_worker_is_left_alone(runs: Runs) -> None:
    run = runs.create("quick_job", status=dg.DagsterRunStatus.STARTED)
    mine = Worker.of_this_process(run.run_id)
    before = Worker(mine.run, mine.pid, mine.started_ticks - 1, mine.host, mine.boot)
    runs.instance.add_run_tags(run.run_id, before.tags)
    assert runs.launcher.check_run_worker_health(runs.get(run.run_id)).status == WorkerStatus.FAILED
    assert runs.launcher.terminate(run.run_id)
    runs.until(run.run_id, dg.DagsterRunStatus.CANCELED)


def test_a_retry_that_bears_its_first_runs_tag_has_no_worker_yet(runs: Runs) -> None:
    first = Worker.of_this_process("another run")
    retry = runs.create("quick_job", tags=first.tags)
    assert retry.tags[WORKER_TAG]
    assert Worker.of_run(retry) is None


def test_the_health_of_a_worker_is_that_of_its_process(runs: Runs) -> None:
    run_id = runs.launch("slow_job")
    worker = runs.worker(run_id)
    assert runs.launcher.check_run_worker_health(runs.get(run_id)).status == WorkerStatus.RUNNING
    run = runs.get(run_id)
    psutil.Process(worker.pid).kill()
    wait(lambda: runs.launcher.check_run_worker_health(run).status == WorkerStatus.FAILED)
    runs.until(run_id, dg.DagsterRunStatus.FAILURE)


def test_a_changed_source_file_renews_the_server_and_its_runs_go_on(runs: Runs, tmp_path: Path) -> None:
    go = tmp_path / "go"
    config = {"ops": {"waits_for_file": {"config": {"file": str(go)}}}}
    run_id = runs.launch("waits_for_file_job", run_config=config)
    runs.worker(run_id)
    first = runs.pid_of_server()
    (runs.sources / "two.py").write_text("")
    second = runs.pid_of_server()
    assert first != second
    assert psutil.pid_exists(first)
    go.write_text("")
    runs.until(run_id, dg.DagsterRunStatus.SUCCESS)
    wait(lambda: not psutil.pid_exists(first))
    assert runs.pid_of_server() == second


def test_after_so_many_runs_the_server_is_renewed(runs: Runs) -> None:
    first = runs.pid_of_server()
    run_ids = [runs.launch("quick_job") for _ in range(4)]
    for run_id in run_ids:
        runs.until(run_id, dg.DagsterRunStatus.SUCCESS)
    assert runs.pid_of_server() != first


def test_a_killed_server_is_replaced_and_its_workers_are_still_watched(runs: Runs) -> None:
    run_id = runs.launch("slow_job")
    worker = runs.worker(run_id)
    server = runs.pid_of_server()
    psutil.Process(server).kill()
    wait(lambda: not psutil.pid_exists(server))
    second = runs.launch("quick_job")
    runs.until(second, dg.DagsterRunStatus.SUCCESS)
    assert runs.get(run_id).status == dg.DagsterRunStatus.STARTED
    psutil.Process(worker.pid).kill()
    assert runs.until(run_id, dg.DagsterRunStatus.FAILURE) < 5


def test_each_run_draws_other_random_numbers(runs: Runs) -> None:
    run_ids = [runs.launch("quick_job") for _ in range(2)]
    for run_id in run_ids:
        runs.until(run_id, dg.DagsterRunStatus.SUCCESS)
    drawn = [runs.messages(run_id).partition("drew ")[2].split()[0] for run_id in run_ids]
    assert len(set(drawn)) == 2


def test_where_the_server_cannot_start_the_launch_says_why(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.fork_launcher.sys.executable", "/bin/false")
    with pytest.raises(ForkServerError, match="ended unexpectedly"):
        runs.launch("quick_job")


@dataclass
class Service:
    """A process that has started another one, which has launched a run."""

    parent: psutil.Process
    daemon: psutil.Process


@contextmanager
def service(runs: Runs, run_id: str) -> Iterator[Service]:
    command = f"{sys.executable} -m tests.orchestration.launching {run_id} & wait; exec sleep 120"
    home = {**os.environ, "DAGSTER_HOME": runs.instance.root_directory}
    with subprocess.Popen(["/bin/sh", "-c", command], cwd=PROJECT, env=home) as parent:
        shell = psutil.Process(parent.pid)
        wait(lambda: len(shell.children()) == 1)
        [daemon] = shell.children()
        try:
            yield Service(shell, daemon)
        finally:
            for process in (shell, daemon):
                if process.is_running():
                    process.kill()


def test_the_daemon_dies_and_its_run_goes_on_with_its_health_known(runs: Runs, tmp_path: Path) -> None:
    go = tmp_path / "go"
    run_id = runs.create(
        "waits_for_file_job", run_config={"ops": {"waits_for_file": {"config": {"file": str(go)}}}}
    ).run_id
    with service(runs, run_id) as running:
        worker = runs.worker(run_id)
        server = psutil.Process(worker.pid).parent()
        running.daemon.kill()
        time.sleep(3)
        assert runs.launcher.check_run_worker_health(runs.get(run_id)).status == WorkerStatus.RUNNING
        go.write_text("")
        runs.until(run_id, dg.DagsterRunStatus.SUCCESS)
        wait(lambda: not server.is_running())


def test_the_whole_service_dies_and_no_worker_is_left(runs: Runs) -> None:
    run_id = runs.create("slow_job").run_id
    with service(runs, run_id) as running:
        worker = runs.worker(run_id)
        server = psutil.Process(worker.pid).parent()
        running.parent.kill()
        running.daemon.kill()
        wait(lambda: not worker.is_alive, within_s=10)
        wait(lambda: not server.is_running())
    assert runs.get(run_id).status == dg.DagsterRunStatus.FAILURE


@pytest.fixture
def workspace(runs: Runs) -> Iterator[BaseWorkspaceRequestContext]:
    """The same jobs behind a code server."""
    target = ModuleTarget(MODULE, None, str(PROJECT), "elsewhere")
    with create_test_daemon_workspace_context(target, runs.instance) as context:
        yield context.create_request_context()


def launch_in(workspace: BaseWorkspaceRequestContext, runs: Runs, job: str) -> str:
    [repository] = workspace.get_code_location("elsewhere").get_repositories().values()
    run = runs.create(job, remote_job_origin=repository.get_full_job(job).get_remote_origin())
    runs.instance.launch_run(run.run_id, workspace)
    return run.run_id


def test_a_run_of_another_location_is_started_and_terminated_by_its_code_server(
    runs: Runs, workspace: BaseWorkspaceRequestContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs.launcher, "_module", "somewhere.definitions")
    run_id = launch_in(workspace, runs, "slow_job")
    runs.until(run_id, dg.DagsterRunStatus.STARTED, within_s=40)
    assert WORKER_TAG not in runs.get(run_id).tags
    assert runs.launcher.check_run_worker_health(runs.get(run_id)).status == WorkerStatus.RUNNING
    assert runs.launcher.terminate(run_id)
    runs.until(run_id, dg.DagsterRunStatus.CANCELED)


def test_where_there_can_be_no_fork_server_the_code_server_starts_the_run_and_the_run_says_why(
    runs: Runs, workspace: BaseWorkspaceRequestContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORKED_JOBS_CUDA", "1")
    run_id = launch_in(workspace, runs, "quick_job")
    runs.until(run_id, dg.DagsterRunStatus.SUCCESS, within_s=40)
    assert "CUDA was initialised while importing" in runs.messages(run_id)
