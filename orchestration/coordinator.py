"""Starts a run at once where Dagster's queue would have it wait for its next look, and within the same limits."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    QueuedRunCoordinator,
    RunRecord,
    RunsFilter,
    SubmitRunContext,
)
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from orchestration._dagster import (
    PRIORITY_TAG,
    GlobalOpConcurrencyLimitsCounter,
    LaunchRunContext,
    TagConcurrencyLimitsCounter,
)
from orchestration.processes import PROCESS_VARIABLE
from orchestration.storage import PooledRunStorage

if TYPE_CHECKING:
    from orchestration._dagster import BaseWorkspaceRequestContext

_IN_PROGRESS = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
# Any number will do, as long as nobody else takes it.
_ADMISSION_LOCK = 7_305_811_204
# Reading more queued runs than this for each run that ends costs more than it saves.
_LOOKED_THROUGH = 300
_REMEMBERED = 10_000

logger = logging.getLogger(__name__)


class PromptRunCoordinator(QueuedRunCoordinator[DagsterInstance]):
    """Launches what the daemon submits if nothing is queued and the limits have room; queues it in every other case.

    Both ways keep the limits together: whoever admits a run holds a lock of the database, and what the queue launches
    is looked at again by `confirms`, for the queue may have counted just before a run was launched past it.
    """

    def register_instance(self, instance: DagsterInstance) -> None:
        super().register_instance(instance)
        # Of this process: what has been given its room, and what has been launched, the latest last.
        self._mine = threading.Lock()
        self._admitted: set[str] = set()
        self._launched: dict[str, None] = {}
        self._launches = os.environ.get(PROCESS_VARIABLE) == "daemon"
        if self._launches:
            # Here, while the daemon has one thread: Dagster would make one launcher for each thread that asks.
            launcher = instance.run_launcher
            prepare = getattr(launcher, "prepare_in_background", None)
            if prepare is not None:
                prepare()

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        run = context.dagster_run
        if not self._launches or run.status != DagsterRunStatus.NOT_STARTED or not self._admit(run):
            return super().submit_run(context)
        self._launch(self._reload(run), context.workspace)
        return self._reload(run)

    def start_waiting(self) -> None:
        """Starts what is queued and has room now that a run has ended; Dagster's queue would look some time later.

        In the queue's order, and only what the launcher forks itself; all else, and a very long queue, is left to it.
        """
        if not self._launches:
            return
        while (run := self._admit_first()) is not None:
            if not self._launch(run, None):
                return

    def _launch(self, run: DagsterRun, workspace: BaseWorkspaceRequestContext | None) -> bool:
        """Whether it was launched; if not, it waits in the queue."""
        try:
            self._instance.run_launcher.launch_run(LaunchRunContext(run, workspace))
            return True
        except Exception:
            logger.exception("run %s could not be launched at once", run.run_id)
            # Its worker may have begun all the same.
            if self._reload(run).status == DagsterRunStatus.STARTING:
                # The queue tries again and says what comes of it.
                self._enqueue(run)
            return False

    def _admit_first(self) -> DagsterRun | None:
        """The first queued run that has room; it counts as starting already."""
        forks = getattr(self._instance.run_launcher, "forks", None)
        with self._lock():
            queued = self._instance.get_run_records(
                RunsFilter(statuses=[DagsterRunStatus.QUEUED]), limit=_LOOKED_THROUGH + 1, ascending=True
            )
            if forks is None or not queued or len(queued) > _LOOKED_THROUGH:
                return None
            others = self._in_progress()
            waiting = [record.dagster_run for record in queued]
            for run in sorted(waiting, key=lambda run: -_priority(run)):
                if self._has_room(run, others):
                    if not forks(run):
                        return None
                    self._count_as_starting(run)
                    return self._reload(run)
        return None

    def confirms(self, run: DagsterRun) -> bool:
        """Whether this run that is starting is to be launched: it has room, and nobody else here launches it.

        One without room is back in the queue.
        """
        with self._mine:
            if run.run_id in self._launched:
                return False
            if run.run_id in self._admitted:
                return self._take(run)
        with self._lock():
            others = [record for record in self._in_progress() if record.dagster_run.run_id != run.run_id]
            if self._has_room(run, others):
                with self._mine:
                    return run.run_id not in self._launched and self._take(run)
            self._enqueue(run)
            return False

    def forget(self, run_id: str) -> None:
        """It could not be launched; it may be tried again."""
        with self._mine:
            self._admitted.discard(run_id)
            self._launched.pop(run_id, None)

    def _take(self, run: DagsterRun) -> bool:
        self._admitted.discard(run.run_id)
        self._launched[run.run_id] = None
        if len(self._launched) > _REMEMBERED:
            del self._launched[next(iter(self._launched))]
        return True

    def _admit(self, run: DagsterRun) -> bool:
        """Whether it may start now; if so it counts as starting already."""
        try:
            with self._lock():
                # First the queue: read second, a run on its way from there to the started ones could be in neither.
                if self._instance.get_run_ids(RunsFilter(statuses=[DagsterRunStatus.QUEUED]), limit=1):
                    return False
                if not self._has_room(run, self._in_progress()):
                    return False
                self._count_as_starting(run)
                return True
        except SQLAlchemyError:
            logger.exception("run %s is queued, for it is unknown whether it may start", run.run_id)
            self.forget(run.run_id)
            return False

    def _count_as_starting(self, run: DagsterRun) -> None:
        with self._mine:
            self._admitted.add(run.run_id)
        self._instance.report_dagster_event(
            DagsterEvent(DagsterEventType.PIPELINE_STARTING.value, run.job_name), run_id=run.run_id
        )

    def _has_room(self, run: DagsterRun, others: Sequence[RunRecord]) -> bool:
        """As Dagster's queue decides it."""
        limits = self._instance.get_concurrency_config()
        queue = limits.run_queue_config
        assert queue is not None
        if queue.max_concurrent_runs != -1 and len(others) >= queue.max_concurrent_runs:
            return False
        tags = TagConcurrencyLimitsCounter(queue.tag_concurrency_limits, [record.dagster_run for record in others])
        if tags.is_blocked(run):
            return False
        if not queue.should_block_op_concurrency_limited_runs:
            return True
        storage = self._instance.event_log_storage
        pools = GlobalOpConcurrencyLimitsCounter(
            self._instance,
            [run],
            others,
            concurrency_keys=storage.get_concurrency_keys(),
            pool_limits=storage.get_pool_limits(),
            slot_count_offset=queue.op_concurrency_slot_buffer,
            pool_granularity=limits.pool_config.pool_granularity,
        )
        return not pools.is_blocked(run)

    def _in_progress(self) -> Sequence[RunRecord]:
        return self._instance.get_run_records(RunsFilter(statuses=_IN_PROGRESS))

    def _enqueue(self, run: DagsterRun) -> None:
        self._instance.report_dagster_event(DagsterEvent.job_enqueue(run), run_id=run.run_id)

    def _reload(self, run: DagsterRun) -> DagsterRun:
        found = self._instance.get_run_by_id(run.run_id)
        assert found is not None
        return found

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One admission at a time, in all processes."""
        storage = self._instance.run_storage
        assert isinstance(storage, PooledRunStorage)
        with storage.transaction() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADMISSION_LOCK})
            yield


def _priority(run: DagsterRun) -> int:
    """As Dagster's queue reads it; what is no number counts as 0."""
    try:
        return int(run.tags.get(PRIORITY_TAG, "0"))
    except ValueError:
        return 0
