"""One worker executes a run, also when the daemon that launched it has died and another one launches it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from sqlalchemy import text

from orchestration.fork_protocol import ForkServerError
from orchestration.storage import PooledRunStorage
from orchestration.worker_tag import Worker

# Any number will do, as long as nobody else locks pairs that begin with it.
_LOCKS = 730_581


@contextmanager
def claiming(instance: DagsterInstance, run_id: str) -> Iterator[None]:
    """For one process at a time, of all on this database: nobody else begins this run, or puts it back into the queue.

    On other storages than ours it locks nothing.
    """
    storage = instance.run_storage
    if not isinstance(storage, PooledRunStorage):
        yield
        return
    with storage.transaction() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '10s'"))
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:locks, hashtext(:run))"), {"locks": _LOCKS, "run": run_id}
        )
        yield


def begin_run(instance: DagsterInstance, run_id: str) -> DagsterRun | None:
    """Writes this process into the run as its worker, and returns the run; None if it is not this process's to execute.

    The daemon that starts after a crash puts runs without a worker back into the queue, and a worker may come late.
    """
    with claiming(instance, run_id):
        run = instance.get_run_by_id(run_id)
        if run is None:
            raise ForkServerError(f"run {run_id} is not in the database that its worker reads")
        if run.status is DagsterRunStatus.QUEUED or Worker.of_run(run) is not None:
            return None
        # Before the run's status is read: who terminates a run writes the status first and then reads the tag.
        instance.add_run_tags(run_id, Worker.of_this_process(run_id).tags)
        return instance.get_run_by_id(run_id)
