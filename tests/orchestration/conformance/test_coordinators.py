"""Runs start in the same order and within the same limits with Dagster's run coordinator and with ours.

Ours starts some of them earlier; here each test lets Dagster's queue take its turns before it looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.processes import PROCESS_VARIABLE
from testing.forking._dagster import QueuedRunCoordinatorDaemon, WorkspaceProcessContext
from testing.forking.recording import RecordingLauncher
from testing.forking.runs import Runs, no_code_server, pooled_storages

CANCELED, FAILURE, QUEUED = dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.QUEUED
STOCK = {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"}
PROMPT = {"module": "orchestration.coordinator", "class": "PromptRunCoordinator"}
ONE_OF_A_KIND = [{"key": "kind", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}]


@dataclass
class Queue(Runs):
    """Submits runs, and lets Dagster's queue take its turns."""

    context: WorkspaceProcessContext

    @property
    def launcher(self) -> RecordingLauncher:  # type: ignore[override]
        launcher = self.instance.run_launcher
        assert isinstance(launcher, RecordingLauncher)
        return launcher

    def submit(self, job: str = "quick_job", **tags: str) -> str:
        run = self.create_for_queue(job, tags={name.replace("_", "/"): value for name, value in tags.items()})
        self.instance.submit_run(run.run_id, self.context.create_request_context())
        return run.run_id

    def turn(self) -> list[str]:
        """One turn of the queue; returns what was launched so far."""
        with QueuedRunCoordinatorDaemon(interval_seconds=1) as daemon:
            list(daemon.run_iteration(self.context))
        return self.launcher.launched

    def end(self, run_id: str) -> None:
        self.instance.report_run_canceled(self.get(run_id))

    def statuses(self, *run_ids: str) -> set[dg.DagsterRunStatus]:
        return {self.get(run_id).status for run_id in run_ids}


@pytest.fixture(params=["stock", "prompt, in the daemon", "prompt, elsewhere"])
def queue(
    request: pytest.FixtureRequest, dagster_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Queue]:
    if request.param == "prompt, in the daemon":
        monkeypatch.setenv(PROCESS_VARIABLE, "daemon")
    config: dict[str, Any] = {
        **pooled_storages(dagster_url),
        "run_coordinator": STOCK if request.param == "stock" else PROMPT,
        "run_launcher": {"module": "testing.forking.recording", "class": "RecordingLauncher"},
        "concurrency": {
            "runs": {"max_concurrent_runs": 2, "tag_concurrency_limits": ONE_OF_A_KIND},
            "pools": {"granularity": "run", "default_limit": 1},
        },
        "telemetry": {"enabled": False},
    }
    with (
        dg.instance_for_test(overrides=config, temp_dir=str(tmp_path)) as instance,
        no_code_server(instance) as context,
    ):
        yield Queue(instance, context)


def test_a_submitted_run_is_launched_once(queue: Queue) -> None:
    run = queue.submit()
    assert queue.turn() == [run]
    assert queue.turn() == [run]


def test_no_more_runs_than_the_limit_are_in_progress_and_the_next_starts_when_one_ends(queue: Queue) -> None:
    first, second, third = (queue.submit() for _ in range(3))
    assert queue.turn() == [first, second]
    assert queue.statuses(third) == {QUEUED}
    queue.end(first)
    assert queue.turn() == [first, second, third]


def test_higher_priorities_go_first_and_equal_ones_in_the_order_of_submission(queue: Queue) -> None:
    at_work = [queue.submit(), queue.submit()]
    queue.turn()
    low, plain, later, high = (
        queue.submit(dagster_priority=priority) for priority in ("-3", "0", "no number at all", "7")
    )
    for run in (*at_work, high, plain, later):
        queue.end(run)
        queue.turn()
    assert queue.launcher.launched == [*at_work, high, plain, later, low]


def test_a_limit_by_tag_holds_back_the_runs_of_that_tag_only(queue: Queue) -> None:
    first, second, other = queue.submit(kind="a"), queue.submit(kind="a"), queue.submit(kind="b")
    assert queue.turn() == [first, other]
    assert queue.statuses(second) == {QUEUED}
    queue.end(first)
    assert queue.turn() == [first, other, second]


def test_a_pool_holds_back_the_runs_that_need_it_only(queue: Queue) -> None:
    # Dagster's queue does not know the default limit of a pool before it has seen a run that needs it.
    queue.instance.event_log_storage.set_concurrency_slots("seats", 1)
    first, second, other = queue.submit("seated_job"), queue.submit("seated_job"), queue.submit()
    assert queue.turn() == [first, other]
    assert queue.statuses(second) == {QUEUED}
    queue.end(first)
    assert queue.turn() == [first, other, second]


def test_a_pool_without_slots_lets_no_run_through_until_it_has_some(queue: Queue) -> None:
    queue.instance.event_log_storage.set_concurrency_slots("seats", 0)
    run = queue.submit("seated_job")
    assert queue.turn() == []
    queue.instance.event_log_storage.set_concurrency_slots("seats", 1)
    assert queue.turn() == [run]


def test_a_queued_run_that_is_canceled_is_never_launched(queue: Queue) -> None:
    first, second, third = (queue.submit() for _ in range(3))
    queue.turn()
    assert queue.instance.run_coordinator.cancel_run(third)
    queue.end(first)
    assert queue.turn() == [first, second]
    assert queue.statuses(third) == {CANCELED}


def test_a_run_that_is_canceled_after_its_launch_is_terminated_by_the_launcher(queue: Queue) -> None:
    run = queue.submit()
    queue.turn()
    assert queue.instance.run_coordinator.cancel_run(run)
    assert queue.launcher.terminated == [run]


def test_submitting_a_run_again_changes_nothing(queue: Queue) -> None:
    workspace = queue.context.create_request_context()
    runs = []
    for _ in range(3):
        runs.append(queue.submit())
        for before in map(queue.get, runs):
            again = queue.instance.run_coordinator.submit_run(dg.SubmitRunContext(before, workspace))
            assert again.status == before.status
    assert queue.turn() == runs[:2]


def test_a_run_that_cannot_be_launched_fails(queue: Queue) -> None:
    queue.launcher.fails = True
    run = queue.submit()
    queue.turn()
    assert queue.statuses(run) == {FAILURE}
    queue.launcher.fails = False
    assert queue.turn() == []
