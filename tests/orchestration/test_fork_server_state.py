"""A fork server that cannot start is named wherever people look."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from orchestration import fork_launcher, server_rotation
from orchestration.fork_launcher import fork_server_problem
from orchestration.fork_protocol import ForkServerError
from orchestration.fork_server_state import ForkServerProblem, write_problem
from resources.settings import PROJECT
from testing.forking.runs import Runs, forking_instance
from testing.forking.runs import fork_launcher as launcher_of
from testing.waiting import until


@pytest.fixture
def broken(dagster_url: str, tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    """The module whose runs are to be forked cannot be imported."""
    (sources / "shop.py").write_text("raise ImportError('there is no till')\n")
    monkeypatch.syspath_prepend(str(sources))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(PROJECT), str(sources))))
    with forking_instance(dagster_url, tmp_path, launcher_of(sources, module="shop")) as instance:
        yield Runs(instance)


def mend(sources: Path) -> None:
    (sources / "shop.py").write_text("from testing.forking.jobs import defs as defs\n")


def is_prepared(runs: Runs) -> bool:
    try:
        runs.launcher.prepare()
    except ForkServerError:
        return False
    return True


def command(runs: Runs) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "DAGSTER_HOME": runs.instance.root_directory}
    return subprocess.run(
        [sys.executable, "-m", "orchestration"], cwd=PROJECT, env=given, capture_output=True, text=True
    )


def test_the_log_another_process_and_a_command_say_why_until_there_is_a_server(
    broken: Runs, sources: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with pytest.raises(ForkServerError, match="ImportError: there is no till"):
            broken.launch("quick_job", module="shop")
    [logged] = [record for record in caplog.records if record.name == fork_launcher.__name__]
    assert logged.levelname == "ERROR"
    assert "no fork server for shop" in logged.getMessage()
    assert "ImportError: there is no till" in logged.getMessage()
    assert "The traceback is in the daemon's log; mend what it names." in logged.getMessage()
    with dg.DagsterInstance.from_ref(broken.instance.get_ref()) as elsewhere:
        assert str(fork_server_problem(elsewhere)) == logged.getMessage()
    asked = command(broken)
    assert (asked.returncode, asked.stdout.strip()) == (1, logged.getMessage())

    mend(sources)
    until("there is a server", lambda: is_prepared(broken))
    assert fork_server_problem(broken.instance) is None
    asked = command(broken)
    assert (asked.returncode, asked.stdout.strip()) == (0, "no problem of the fork server is known")


def test_it_is_tried_again_without_a_run(broken: Runs, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (fork_launcher, server_rotation):
        monkeypatch.setattr(module, "RETRY_AFTER_S", 0.2)
    broken.launcher.prepare_in_background()
    until("the problem is known", lambda: fork_server_problem(broken.instance) is not None)
    mend(sources)
    until("there is a server", lambda: fork_server_problem(broken.instance) is None)


def test_what_is_known_of_an_earlier_launcher_does_not_outlive_the_first_server(runs: Runs) -> None:
    write_problem(runs.instance, ForkServerProblem.now("shop", "ImportError"))
    assert fork_server_problem(runs.instance) is not None
    runs.launcher.prepare()
    assert fork_server_problem(runs.instance) is None


def test_an_instance_with_another_launcher_has_no_problem_with_fork_servers() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        write_problem(instance, ForkServerProblem.now("shop", "ImportError"))
        assert fork_server_problem(instance) is None


def test_a_database_that_is_down_delays_no_run(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("the server has gone"))

    monkeypatch.setattr(fork_launcher, "write_problem", fail)
    runs.launcher.prepare()
    assert "cannot write the state of the fork server" in caplog.text
