"""Runs that start at once and runs that wait, on real PostgreSQL; the queue's own daemon takes its turn when asked."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster import DagsterEvent, DagsterEventType, SubmitRunContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from orchestration.coordinator import PromptRunCoordinator
from orchestration.fork_launcher import ForkRunLauncher
from orchestration.fork_protocol import ForkServerError
from orchestration.processes import PROCESS_VARIABLE
from testing.forking._dagster import QueuedRunCoordinatorDaemon, WorkspaceProcessContext
from testing.forking.runs import Runs, fork_launcher, forking_instance, no_code_server
from testing.waiting import until

QUEUED, STARTING, STARTED = dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED
LIMIT = 2


@dataclass
class Queue(Runs):
    """Submits runs as a sensor's tick does."""

    context: WorkspaceProcessContext

    def unsubmitted(self, priority: int = 0) -> SubmitRunContext:
        workspace = self.context.create_request_context()
        tags = {"dagster/priority": str(priority)}
        return SubmitRunContext(self.create_for_queue("seated_job", tags=tags), workspace)

    def submit(self, priority: int = 0) -> dg.DagsterRun:
        run, workspace = self.unsubmitted(priority)
        return self.instance.submit_run(run.run_id, workspace)

    def dequeue(self) -> None:
        """One turn of the queue."""
        with QueuedRunCoordinatorDaemon(interval_seconds=1) as daemon:
            list(daemon.run_iteration(self.context))

    def count(self, *statuses: dg.DagsterRunStatus) -> int:
        return self.instance.get_runs_count(dg.RunsFilter(statuses=list(statuses)))


@pytest.fixture
def queue(dagster_url: str, tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.setenv(PROCESS_VARIABLE, "daemon")
    config = {
        **fork_launcher(sources),
        "run_coordinator": {"module": "orchestration.coordinator", "class": "PromptRunCoordinator"},
        "concurrency": {"pools": {"granularity": "run", "default_limit": LIMIT}},
    }
    with forking_instance(dagster_url, tmp_path, config) as instance, no_code_server(instance) as context:
        queue = Queue(instance, context)
        yield queue
        for run in instance.get_runs(dg.RunsFilter(statuses=[QUEUED])):
            instance.report_run_canceled(run)
        for run in instance.get_runs(dg.RunsFilter(statuses=[STARTING, STARTED])):
            queue.launcher.terminate(run.run_id)


def test_a_run_starts_at_once_while_there_is_room_and_waits_when_there_is_none(queue: Queue) -> None:
    assert [queue.submit().status for _ in range(3)] == [STARTING, STARTING, QUEUED]
    queue.dequeue()
    assert queue.count(QUEUED) == 1
    until("all places are taken", lambda: queue.count(STARTED) == LIMIT)


def test_what_waits_goes_before_what_comes_later(queue: Queue) -> None:
    first, _, third = [queue.submit() for _ in range(3)]
    queue.until(first.run_id, STARTED)
    queue.launcher.terminate(first.run_id)
    queue.until(third.run_id, STARTED)
    assert queue.submit().status == QUEUED
    queue.dequeue()
    assert queue.count(STARTING, STARTED) == LIMIT
    assert queue.count(QUEUED) == 1


def test_a_run_that_ends_gives_its_room_at_once_to_what_the_queue_would_take_first(queue: Queue) -> None:
    first, *_ = [queue.submit() for _ in range(LIMIT)]
    plain, urgent = queue.submit(), queue.submit(priority=5)
    queue.until(first.run_id, STARTED)
    queue.launcher.terminate(first.run_id)
    # Nobody asks Dagster's queue to take a turn.
    queue.until(urgent.run_id, STARTED)
    assert queue.get(plain.run_id).status == QUEUED


def test_a_run_is_launched_once_although_both_ways_want_it(queue: Queue) -> None:
    queue.launcher.prepare()
    run = queue.submit()
    queue.until(run.run_id, STARTED)
    coordinator = queue.instance.run_coordinator
    assert isinstance(coordinator, PromptRunCoordinator)
    # The queue had read the run before it was launched past it, says so late, and launches it itself.
    starting = DagsterEvent(DagsterEventType.RUN_STARTING.value, run.job_name)
    queue.instance.report_dagster_event(starting, run_id=run.run_id)
    assert queue.get(run.run_id).status == STARTED
    server = psutil.Process(queue.pid_of_server())
    before = server.children()
    queue.instance.launch_run(run.run_id, queue.context.create_request_context())
    assert server.children() == before
    # Nor does it go back into the queue when there is no room for it any more.
    queue.instance.event_log_storage.set_concurrency_slots("seats", 0)
    queue.instance.launch_run(run.run_id, queue.context.create_request_context())
    assert queue.get(run.run_id).status == STARTED


def test_without_a_limit_every_run_starts_at_once(
    dagster_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROCESS_VARIABLE, "daemon")
    config = {
        "run_launcher": {"module": "testing.forking.recording", "class": "RecordingLauncher"},
        "run_coordinator": {
            "module": "orchestration.coordinator",
            "class": "PromptRunCoordinator",
            "config": {"max_concurrent_runs": -1},
        },
        "run_monitoring": {"enabled": False},
    }
    with forking_instance(dagster_url, tmp_path, config) as instance, no_code_server(instance) as context:
        queue = Queue(instance, context)
        assert [queue.submit().status for _ in range(12)] == [STARTED] * 12


def test_it_says_which_storage_it_needs(tmp_path: Path) -> None:
    coordinator = {"module": "orchestration.coordinator", "class": "PromptRunCoordinator"}
    refused = pytest.raises(dg.DagsterInvariantViolationError, match=r"needs PooledRunStorage .* not SqliteRunStorage")
    with dg.instance_for_test(overrides={"run_coordinator": coordinator}, temp_dir=str(tmp_path)) as instance, refused:
        _ = instance.run_coordinator


def test_a_run_that_cannot_be_launched_at_once_is_queued_and_started_later(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ForkServerError("no memory")

    monkeypatch.setattr(ForkRunLauncher, "_launch", fails)
    run = queue.submit()
    assert run.status == QUEUED
    monkeypatch.undo()
    queue.dequeue()
    queue.until(run.run_id, STARTED)


def test_the_limit_may_change_while_everything_runs(queue: Queue) -> None:
    queue.instance.event_log_storage.set_concurrency_slots("seats", 1)
    assert [queue.submit().status for _ in range(2)] == [STARTING, QUEUED]
    queue.instance.event_log_storage.set_concurrency_slots("seats", 3)
    queue.dequeue()
    assert queue.submit().status == STARTING
    assert queue.submit().status == QUEUED


def test_many_submits_at_a_time_keep_the_limit(queue: Queue) -> None:
    queue.launcher.prepare()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: queue.submit().status, range(8)))
    assert found.count(STARTING) == LIMIT
    assert found.count(QUEUED) == 8 - LIMIT


def test_a_run_that_the_queue_launches_upon_an_old_count_goes_back_and_starts_later(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [queue.submit() for _ in range(3)]
    # The queue counted before the two that run were launched past it.
    monkeypatch.setattr(QueuedRunCoordinatorDaemon, "_get_in_progress_run_records", lambda *_: [])
    queue.dequeue()
    assert queue.get(runs[2].run_id).status == QUEUED
    monkeypatch.undo()
    queue.until(runs[0].run_id, STARTED)
    queue.launcher.terminate(runs[0].run_id)
    queue.until(runs[0].run_id, dg.DagsterRunStatus.CANCELED)
    queue.dequeue()
    queue.until(runs[2].run_id, STARTED)


def test_what_is_submitted_outside_the_daemon_is_queued(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROCESS_VARIABLE, "webserver")
    with dg.DagsterInstance.from_ref(queue.instance.get_ref()) as webserver:
        assert webserver.run_coordinator.submit_run(queue.unsubmitted()).status == QUEUED


def test_where_it_is_unknown_whether_there_is_room_the_run_is_queued(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("the server has gone"))

    monkeypatch.setattr(PromptRunCoordinator, "_in_progress", fails)
    assert queue.submit().status == QUEUED


def test_no_login_without_rights_on_dagsters_tables_can_hold_up_a_start(queue: Queue, dagster_url: str) -> None:
    coordinator = queue.instance.run_coordinator
    assert isinstance(coordinator, PromptRunCoordinator)
    engine = create_engine(dagster_url, poolclass=NullPool)
    with engine.begin() as connection, coordinator._admission():
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert connection.scalar(text(held)) == 0
    with engine.connect() as stranger:
        stranger.execute(text("CREATE ROLE stranger"))
        stranger.execute(text("SET ROLE stranger"))
        with pytest.raises(ProgrammingError, match="permission denied for table"):
            stranger.execute(text("LOCK TABLE alembic_version IN SHARE ROW EXCLUSIVE MODE"))
    engine.dispose()
