"""What a daemon that starts does with the runs that the one before it, or a power cut, has left behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import psutil
from dagster import DagsterEvent, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from orchestration._dagster import GRPC_INFO_TAG
from orchestration.run_claim import claiming
from orchestration.worker_tag import Worker

_AT_WORK = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def started_at() -> datetime:
    """When this process started."""
    return datetime.fromtimestamp(psutil.Process().create_time(), UTC)


def take_over_runs(
    instance: DagsterInstance,
    before: datetime,
    worker_of: Callable[[DagsterRun], Worker | None],
    watch: Callable[[Worker], None],
) -> list[str]:
    """Ends the runs whose worker has ended, puts those back into the queue that were admitted and never got a worker,
    and has the others of this machine watched.

    Only runs to which nothing has happened since `before`. Returns what was done, one line for each run.
    """
    records = instance.get_run_records(RunsFilter(statuses=_AT_WORK, updated_before=before))
    done = (_take_over(instance, record.dagster_run.run_id, worker_of, watch) for record in records)
    return [line for line in done if line]


def _take_over(
    instance: DagsterInstance,
    run_id: str,
    worker_of: Callable[[DagsterRun], Worker | None],
    watch: Callable[[Worker], None],
) -> str | None:
    with claiming(instance, run_id):
        # Read again: its worker may have begun, or ended it.
        run = instance.get_run_by_id(run_id)
        if run is None or run.status not in _AT_WORK:
            return None
        worker = worker_of(run)
        if worker is None:
            return _without_worker(instance, run)
        if not worker.is_here:
            return None
        if worker.is_alive:
            watch(worker)
            return None
        return _end(instance, run, f"The run's worker, process {worker.pid}, ended while no daemon watched it.")


def _without_worker(instance: DagsterInstance, run: DagsterRun) -> str | None:
    if GRPC_INFO_TAG in run.tags:
        # A code server executes it.
        return None
    if run.status is DagsterRunStatus.STARTING:
        instance.report_dagster_event(DagsterEvent.job_enqueue(run), run_id=run.run_id)
        return f"run {run.run_id} is queued again: it was admitted and never got a worker"
    if run.status is DagsterRunStatus.CANCELING:
        return _end(instance, run, "The run was terminated before it got a worker.")
    return None


def _end(instance: DagsterInstance, run: DagsterRun, why: str) -> str:
    end = instance.report_run_canceled if run.status is DagsterRunStatus.CANCELING else instance.report_run_failed
    end(run, why)
    return f"run {run.run_id}: {why}"
