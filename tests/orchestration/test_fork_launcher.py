"""The fork launcher on real PostgreSQL, without a daemon: runs are handed to it directly."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
import pytest

from orchestration._dagster import WorkerStatus
from orchestration.fork_protocol import ForkServerError
from orchestration.worker_tag import WORKER_TAG, Worker
from resources.settings import PROJECT
from testing.forking._dagster import BaseWorkspaceRequestContext
from testing.forking.runs import Runs
from testing.waiting import until


def test_a_run_is_a_fork_of_the_server_and_succeeds(runs: Runs) -> None:
    run_id = runs.launch("quick_job")
    runs.until(run_id, dg.DagsterRunStatus.SUCCESS)
    assert f"Started process for run (pid: {runs.worker_of(run_id).pid})" in runs.messages(run_id)
    runs.until_said(run_id, "Process for run exited")
    assert psutil.Process(runs.pid_of_server()).num_threads() == 1


def test_a_run_whose_asset_fails_fails_once_with_its_own_error(runs: Runs) -> None:
    run_id = runs.launch("failed_job")
    runs.until(run_id, dg.DagsterRunStatus.FAILURE)
    runs.until_said(run_id, "Process for run exited")
    time.sleep(0.5)
    assert "on purpose" in str([entry.dagster_event for entry in runs.instance.all_logs(run_id)])
    assert "before the run was over" not in runs.messages(run_id)


@pytest.mark.parametrize(
    ("job", "expected"),
    [("killed_job", "SIGKILL"), ("crashed_job", "Segmentation fault"), ("left_job", "exit code 7")],
)
def test_a_worker_that_dies_fails_its_run_at_once_and_the_run_says_how(runs: Runs, job: str, expected: str) -> None:
    runs.pid_of_server()
    run_id = runs.launch(job)
    runs.until(run_id, dg.DagsterRunStatus.FAILURE)
    assert expected in runs.messages(run_id)


def test_a_terminated_run_is_canceled_by_its_own_worker(runs: Runs) -> None:
    run_id = runs.launch("slow_job")
    worker = runs.worker(run_id)
    assert runs.launcher.terminate(run_id)
    runs.until(run_id, dg.DagsterRunStatus.CANCELED)
    until("the worker has ended", lambda: not worker.is_alive)


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


def test_the_worker_of_another_host_counts_as_running_and_cannot_be_terminated(runs: Runs) -> None:
    run = runs.create("quick_job", status=dg.DagsterRunStatus.STARTED)
    mine = Worker.of_this_process(run.run_id)
    elsewhere = Worker(mine.run, mine.pid, mine.started_ticks - 1, "another-host", mine.boot)
    runs.instance.add_run_tags(run.run_id, elsewhere.tags)
    assert runs.launcher.check_run_worker_health(runs.get(run.run_id)).status == WorkerStatus.RUNNING
    assert not runs.launcher.terminate(run.run_id)
    assert "a process of another-host" in runs.messages(run.run_id)


def test_the_health_of_a_worker_is_that_of_its_process(runs: Runs) -> None:
    run_id = runs.launch("slow_job")
    worker = runs.worker(run_id)
    assert runs.launcher.check_run_worker_health(runs.get(run_id)).status == WorkerStatus.RUNNING
    run = runs.get(run_id)
    psutil.Process(worker.pid).kill()
    until(
        "the worker's health is FAILED",
        lambda: runs.launcher.check_run_worker_health(run).status == WorkerStatus.FAILED,
    )
    runs.until(run_id, dg.DagsterRunStatus.FAILURE)


def test_a_changed_source_file_renews_the_server_and_its_runs_go_on(runs: Runs, sources: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    run_id = runs.launch("waits_for_file_job", run_config=waiting_for(go))
    runs.worker(run_id)
    first = runs.pid_of_server()
    (sources / "two.py").write_text("")
    until("the server is renewed", lambda: runs.pid_of_server() != first)
    second = runs.pid_of_server()
    assert psutil.pid_exists(first)
    go.write_text("")
    runs.until(run_id, dg.DagsterRunStatus.SUCCESS)
    until("the first server has ended", lambda: not psutil.pid_exists(first))
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
    until("the server has ended", lambda: not psutil.pid_exists(server))
    second = runs.launch("quick_job")
    runs.until(second, dg.DagsterRunStatus.SUCCESS)
    assert runs.get(run_id).status == dg.DagsterRunStatus.STARTED
    psutil.Process(worker.pid).kill()
    runs.until(run_id, dg.DagsterRunStatus.FAILURE)


def test_each_run_draws_other_random_numbers(runs: Runs) -> None:
    run_ids = [runs.launch("quick_job") for _ in range(2)]
    for run_id in run_ids:
        runs.until(run_id, dg.DagsterRunStatus.SUCCESS)
    for drawn_by in ("drew", "numpy drew"):
        drawn = [runs.messages(run_id).partition(f"{drawn_by} ")[2].split()[0] for run_id in run_ids]
        assert len(set(drawn)) == 2


def test_where_the_server_cannot_start_the_launch_says_why(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.fork_client.sys.executable", "/bin/false")
    with pytest.raises(ForkServerError, match="ended unexpectedly with exit code 1"):
        runs.launch("quick_job")


def test_where_no_process_can_be_started_the_launch_says_why(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.fork_client.sys.executable", "/no/such/python")
    with pytest.raises(ForkServerError, match=r"no process could be started: .*No such file"):
        runs.launch("quick_job")


def test_a_closed_launcher_starts_no_server(runs: Runs) -> None:
    runs.launcher.dispose()
    with pytest.raises(ForkServerError, match="closed"):
        runs.launch("quick_job")


def waiting_for(file: Path) -> dict[str, object]:
    return {"ops": {"waits_for_file": {"config": {"file": str(file)}}}}


@dataclass
class Service:
    """A process that has started another one, which has launched a run."""

    parent: psutil.Process
    daemon: psutil.Process


@contextmanager
def service(runs: Runs, run_id: str) -> Iterator[Service]:
    command = f"{sys.executable} -m testing.forking.launching {run_id} & wait; exec sleep 120"
    home = {**os.environ, "DAGSTER_HOME": runs.instance.root_directory}
    with subprocess.Popen(["/bin/sh", "-c", command], cwd=PROJECT, env=home) as parent:
        shell = psutil.Process(parent.pid)
        until("the shell has started the daemon", lambda: len(shell.children()) == 1)
        [daemon] = shell.children()
        try:
            yield Service(shell, daemon)
        finally:
            for process in (shell, daemon):
                if process.is_running():
                    process.kill()


def test_the_daemon_dies_and_its_run_goes_on_with_its_health_known(runs: Runs, tmp_path: Path) -> None:
    go = tmp_path / "go"
    run_id = runs.create("waits_for_file_job", run_config=waiting_for(go)).run_id
    with service(runs, run_id) as running:
        worker = runs.worker(run_id)
        server = psutil.Process(worker.pid).parent()
        running.daemon.kill()
        time.sleep(3)
        assert runs.launcher.check_run_worker_health(runs.get(run_id)).status == WorkerStatus.RUNNING
        go.write_text("")
        runs.until(run_id, dg.DagsterRunStatus.SUCCESS)
        until("the server has ended", lambda: not server.is_running())


def test_the_whole_service_dies_and_no_worker_is_left(runs: Runs) -> None:
    run_id = runs.create("slow_job").run_id
    with service(runs, run_id) as running:
        worker = runs.worker(run_id)
        server = psutil.Process(worker.pid).parent()
        running.parent.kill()
        running.daemon.kill()
        until("the worker has ended", lambda: not worker.is_alive, within_s=10)
        until("the server has ended", lambda: not server.is_running())
    assert runs.get(run_id).status == dg.DagsterRunStatus.FAILURE


def launch_in(workspace: BaseWorkspaceRequestContext, runs: Runs, job: str) -> str:
    run = runs.create_in(workspace, job)
    runs.instance.launch_run(run.run_id, workspace)
    return run.run_id


def test_a_run_of_another_location_is_started_and_terminated_by_its_code_server(
    runs: Runs, workspace: BaseWorkspaceRequestContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs.launcher, "_module", "somewhere.definitions")
    run_id = launch_in(workspace, runs, "slow_job")
    runs.until(run_id, dg.DagsterRunStatus.STARTED)
    assert WORKER_TAG not in runs.get(run_id).tags
    assert runs.launcher.check_run_worker_health(runs.get(run_id)).status == WorkerStatus.RUNNING
    assert runs.launcher.terminate(run_id)
    runs.until(run_id, dg.DagsterRunStatus.CANCELED)


def test_where_there_can_be_no_fork_server_the_code_server_starts_the_run_and_the_run_says_why(
    runs: Runs, workspace: BaseWorkspaceRequestContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORKED_JOBS_CUDA", "1")
    run_id = launch_in(workspace, runs, "quick_job")
    runs.until(run_id, dg.DagsterRunStatus.SUCCESS)
    assert "CUDA was initialised while importing" in runs.messages(run_id)
