"""What a fork server does before its first fork, and what it refuses to fork."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psutil
import pytest

from orchestration._dagster import WorkerStatus
from orchestration.fork_protocol import ForkServerError
from orchestration.openmp import one_thread
from testing.forking.runs import Runs, fork_launcher, forking_instance
from testing.processes import fork_servers
from testing.waiting import until


@contextmanager
def runs_with(preload: str, url: str, folder: Path, sources: Path) -> Iterator[Runs]:
    config = fork_launcher(sources, preload=f"testing.forking.preloading:{preload}")
    with forking_instance(url, folder, config) as instance:
        yield Runs(instance)


def test_the_configured_function_is_called_before_the_first_fork(
    dagster_url: str, tmp_path: Path, sources: Path
) -> None:
    with runs_with("mark", dagster_url, tmp_path, sources) as runs:
        run_id = runs.launch("shows_preloaded_job")
        runs.until(run_id, dg.DagsterRunStatus.SUCCESS)
        assert "preloaded: yes, with 1 thread" in runs.messages(run_id)


def test_where_it_fails_the_runs_are_forked_without_what_it_loads_and_the_log_says_so(
    dagster_url: str, tmp_path: Path, sources: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with runs_with("fail", dagster_url, tmp_path, sources) as runs:
        run_id = runs.launch("shows_preloaded_job")
        runs.until(run_id, dg.DagsterRunStatus.SUCCESS)
        assert "preloaded: no" in runs.messages(run_id)
    log = capfd.readouterr().err
    assert "testing.forking.preloading:fail has failed: nothing is preloaded" in log
    assert "the weights are not there" in log


def test_a_process_with_a_second_thread_is_not_forked(dagster_url: str, tmp_path: Path, sources: Path) -> None:
    refused = pytest.raises(ForkServerError, match=r"importing has started threads, .*left behind")
    with runs_with("leave_a_thread", dagster_url, tmp_path, sources) as runs, refused:
        runs.launch("quick_job")


@pytest.mark.parametrize("given", [None, "3"])
def test_openmp_has_one_thread_only_while_something_is_loaded(
    given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    with one_thread():
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert os.environ.get("OMP_NUM_THREADS") == given


@pytest.fixture
def slow(dagster_url: str, tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    """Its fork servers are not ready before the file `finish` is there."""
    monkeypatch.setenv("FINISH_IMPORT", str(tmp_path / "finish"))
    config = fork_launcher(sources, module="testing.forking.slow_import")
    with forking_instance(dagster_url, tmp_path, config) as instance:
        yield Runs(instance)


def servers() -> list[int]:
    return [process.pid for process in fork_servers(psutil.Process())]


def test_while_a_server_imports_only_launches_wait(slow: Runs, tmp_path: Path, sources: Path) -> None:
    run = slow.create("quick_job", module="testing.forking.slow_import")
    with ThreadPoolExecutor() as threads:
        launch = threads.submit(slow.instance.launch_run, run.run_id, None)  # type: ignore[arg-type]
        until("a server imports", lambda: len(servers()) == 1)
        first = servers()
        assert slow.launcher.check_run_worker_health(slow.get(run.run_id)).status == WorkerStatus.RUNNING
        assert not slow.launcher.terminate("no such run")
        (sources / "two.py").write_text("")
        # The source is read once a second.
        time.sleep(1.1)
        another = threads.submit(slow.launcher.prepare)
        until("the first server, which hangs, is killed and replaced", lambda: servers() not in ([], first))
        (tmp_path / "finish").write_text("")
        launch.result(30)
        assert [another.result(30).pid] == servers()
    slow.until(run.run_id, dg.DagsterRunStatus.SUCCESS)


def test_closing_waits_for_no_import_and_ends_the_launch_that_does(slow: Runs) -> None:
    with ThreadPoolExecutor() as threads:
        launch = threads.submit(slow.launch, "quick_job", module="testing.forking.slow_import")
        until("a server imports", lambda: len(servers()) == 1)
        threads.submit(slow.launcher.dispose).result(5)
        with pytest.raises(ForkServerError, match="the run launcher is closed"):
            launch.result(5)
        until("the server is killed", lambda: servers() == [])
