"""What a daemon that starts does with the runs of the one before it, on real PostgreSQL."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import psutil
import pytest

from orchestration.fork_client import WorkerExit
from orchestration.fork_launcher import ForkRunLauncher
from orchestration.run_claim import begin_run
from orchestration.takeover import started_at, take_over_runs
from orchestration.worker_tag import Worker
from testing.forking.runs import Runs
from testing.waiting import until

Status = dg.DagsterRunStatus


def take_over(runs: Runs, before: datetime | None = None) -> tuple[list[str], list[Worker]]:
    """What a daemon does that has just started; and the workers that it watches."""
    watched: list[Worker] = []
    soon = datetime.now(UTC) + timedelta(seconds=1)
    return take_over_runs(runs.instance, before or soon, Worker.of_run, watched.append), watched


def with_worker(runs: Runs, status: Status, *, alive: bool) -> str:
    run_id = runs.create("quick_job", status=status).run_id
    mine = Worker.of_this_process(run_id)
    worker = mine if alive else Worker(run_id, mine.pid, mine.started_ticks - 1, mine.host, mine.boot)
    runs.instance.add_run_tags(run_id, worker.tags)
    return run_id


def test_a_run_that_was_admitted_and_never_got_a_worker_is_queued_again(runs: Runs) -> None:
    run_id = runs.create_for_queue("quick_job", status=Status.STARTING).run_id
    assert take_over(runs)[0] == [f"run {run_id} is queued again: it was admitted and never got a worker"]
    assert runs.get(run_id).status is Status.QUEUED


@pytest.mark.parametrize(
    ("before", "after"),
    [(Status.STARTING, Status.FAILURE), (Status.STARTED, Status.FAILURE), (Status.CANCELING, Status.CANCELED)],
)
def test_a_run_whose_worker_ended_while_nobody_watched_is_ended_at_once(
    runs: Runs, before: Status, after: Status
) -> None:
    run_id = with_worker(runs, before, alive=False)
    take_over(runs)
    assert runs.get(run_id).status is after
    assert "ended while no daemon watched it" in runs.messages(run_id)


def test_a_run_that_was_terminated_before_it_got_a_worker_is_canceled(runs: Runs) -> None:
    run_id = runs.create("quick_job", status=Status.CANCELING).run_id
    take_over(runs)
    assert runs.get(run_id).status is Status.CANCELED


def test_a_run_with_a_living_worker_goes_on_and_is_watched(runs: Runs) -> None:
    run_id = with_worker(runs, Status.STARTED, alive=True)
    done, watched = take_over(runs)
    assert done == []
    assert [worker.run for worker in watched] == [run_id]
    assert runs.get(run_id).status is Status.STARTED


def test_what_this_daemon_has_admitted_itself_is_left_alone(runs: Runs) -> None:
    run_id = runs.create_for_queue("quick_job", status=Status.STARTING).run_id
    assert take_over(runs, before=started_at()) == ([], [])
    assert runs.get(run_id).status is Status.STARTING


def test_a_run_that_a_code_server_executes_is_left_alone(runs: Runs) -> None:
    run_id = runs.create("quick_job", status=Status.STARTING, tags={".dagster/grpc_info": "{}"}).run_id
    assert take_over(runs) == ([], [])
    assert runs.get(run_id).status is Status.STARTING


def test_a_worker_that_comes_after_its_run_was_queued_again_leaves_it(runs: Runs) -> None:
    run_id = runs.create_for_queue("quick_job", status=Status.STARTING).run_id
    take_over(runs)
    assert begin_run(runs.instance, run_id) is None
    assert Worker.of_run(runs.get(run_id)) is None


def test_of_two_workers_of_one_run_the_second_leaves_it_and_its_end_does_not_end_the_run(runs: Runs) -> None:
    run_id = with_worker(runs, Status.STARTED, alive=True)
    assert begin_run(runs.instance, run_id) is None
    runs.launcher._report_exit(WorkerExit(run_id, 0, ""))
    assert runs.get(run_id).status is Status.STARTED


def test_the_end_of_a_worker_that_was_taken_over_is_noticed_at_once(runs: Runs) -> None:
    run_id = runs.launch("slow_job")
    worker = runs.worker(run_id)
    with dg.DagsterInstance.from_ref(runs.instance.get_ref()) as next_daemon:
        launcher = next_daemon.run_launcher
        assert isinstance(launcher, ForkRunLauncher)
        take_over_runs(next_daemon, datetime.now(UTC) + timedelta(seconds=1), Worker.of_run, launcher._watch)
        launcher._reporter.start()
        psutil.Process(worker.pid).kill()
        until("the run has failed", lambda: runs.get(run_id).status is Status.FAILURE, within_s=5)
