"""Reports of workers that have ended, and launches in the room they leave."""

from __future__ import annotations

import threading

import pytest

from orchestration import exit_reporter
from orchestration.exit_reporter import ExitReporter
from orchestration.fork_client import WorkerExit
from testing.waiting import until


def ended(run_id: str) -> WorkerExit:
    return WorkerExit(run_id, -9, "")


def test_each_end_is_reported_and_then_queued_runs_are_launched() -> None:
    done: list[str] = []
    reporter = ExitReporter(lambda end: done.append(end.run_id), lambda: done.append("launched"))
    reporter.start()
    reporter.worker_ended(ended("one"))
    until("queued runs are launched", lambda: done == ["one", "launched"])


def test_a_launch_that_waits_delays_no_report() -> None:
    reported: list[str] = []
    go = threading.Event()

    def launch() -> None:
        go.wait(10)

    reporter = ExitReporter(lambda end: reported.append(end.run_id), launch)
    reporter.start()
    for run_id in ("one", "two", "three"):
        reporter.worker_ended(ended(run_id))
    until("all ends are reported", lambda: reported == ["one", "two", "three"], within_s=5)
    go.set()


def test_a_report_is_tried_again_while_the_database_is_down_and_a_failed_launch_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(exit_reporter, "_PAUSE_S", 0.01)
    answers = iter([ConnectionError("down"), ConnectionError("down")])
    reported: list[str] = []

    def report(end: WorkerExit) -> None:
        error = next(answers, None)
        if error is not None:
            raise error
        reported.append(end.run_id)

    def launch() -> None:
        raise RuntimeError("no room after all")

    reporter = ExitReporter(report, launch)
    reporter.start()
    for number, run_id in enumerate(("one", "two"), start=1):
        reporter.worker_ended(ended(run_id))
        until(
            "the failed launch is logged",
            lambda: caplog.text.count("cannot launch queued runs") == number,  # noqa: B023
        )
    assert reported == ["one", "two"]
    assert caplog.text.count("cannot report the end of run one's worker") == 2


@pytest.mark.parametrize(
    ("worker_exit", "text"),
    [
        (WorkerExit("run", None, ""), "The worker of the run has ended before the run was over."),
        (WorkerExit("run", -9, ""), "The worker of the run was ended by SIGKILL before the run was over."),
        (
            WorkerExit("run", 7, " goodbye \n"),
            "The worker of the run ended with exit code 7 before the run was over. Its last output:\ngoodbye",
        ),
    ],
)
def test_the_text_says_how_it_ended_with_its_last_output(worker_exit: WorkerExit, text: str) -> None:
    assert str(worker_exit) == text
