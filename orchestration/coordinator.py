"""A run coordinator that starts a run at once where Dagster's queue would start it some time later.

The limits are those of Dagster's queue, which goes on working beside it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterInvariantViolationError,
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

# The runs that count against the limits, as QueuedRunCoordinatorDaemon counts them.
_IN_PROGRESS = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
# Only Dagster's migrations write to this table. Only a role that may write to Dagster's tables can take this lock; an
# advisory lock could be held by every login of the database.
_LOCK_ADMISSION = "LOCK TABLE alembic_version IN SHARE ROW EXCLUSIVE MODE"
# With more queued runs than this, reading them for each run that ends costs more than it saves.
_MOST_QUEUED = 300
_MOST_REMEMBERED = 10_000

logger = logging.getLogger(__name__)


@runtime_checkable
class ForkingLauncher(Protocol):
    """What a run launcher offers that can start runs without a code server."""

    def prepare_in_background(self) -> None: ...

    def can_fork(self, run: DagsterRun) -> bool: ...


class PromptRunCoordinator(QueuedRunCoordinator[DagsterInstance]):
    """In the daemon, launches a submitted run at once if no run is queued and the limits have room; else queues it.

    Runs are launched in two ways, by this class and by Dagster's queue, and both keep the limits: who admits a run
    holds a lock of the database, and the launcher asks `claim_launch` before each launch, for the queue may have
    counted the runs just before this class launched one.

    Needs PooledRunStorage, and the environment variable of `orchestration.processes` to know that it is in the daemon.
    """

    def register_instance(self, instance: DagsterInstance) -> None:
        super().register_instance(instance)
        if not isinstance(instance.run_storage, PooledRunStorage):
            raise DagsterInvariantViolationError(
                "PromptRunCoordinator needs PooledRunStorage as the run_storage in dagster.yaml,"
                f" not {type(instance.run_storage).__name__}"
            )
        # The runs that this process has admitted, and those it has launched, the latest last.
        self._claims_lock = threading.Lock()
        self._admitted: set[str] = set()
        self._launched: dict[str, None] = {}
        self._is_in_daemon = os.environ.get(PROCESS_VARIABLE) == "daemon"
        # Made here, while the daemon has one thread: Dagster would make one launcher for each thread that asks.
        if self._is_in_daemon and isinstance(launcher := instance.run_launcher, ForkingLauncher):
            launcher.prepare_in_background()

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        run = context.dagster_run
        if not self._is_in_daemon or run.status != DagsterRunStatus.NOT_STARTED or not self._admit(run):
            return super().submit_run(context)
        self._launch(self._reload(run), context.workspace)
        return self._reload(run)

    def launch_queued_runs(self) -> None:
        """Launches queued runs while there is room. Called when a run has ended: Dagster's queue would do it later.

        It takes them in the queue's order, and only those that the launcher can fork. All others, and all runs of a
        very long queue, are left to Dagster's queue.
        """
        if not self._is_in_daemon:
            return
        while (run := self._admit_first()) is not None:
            if not self._launch(run, None):
                return

    def claim_launch(self, run: DagsterRun) -> bool:
        """Whether the launcher may launch this run, which counts as starting: it has room, and is not launched yet.

        A run without room is put back into the queue.
        """
        with self._claims_lock:
            if run.run_id in self._launched:
                return False
            if run.run_id in self._admitted:
                self._remember_launch(run.run_id)
                return True
        with self._admission():
            others = [record for record in self._in_progress() if record.dagster_run.run_id != run.run_id]
            if not self._has_room(run, others):
                self._enqueue(run)
                return False
            with self._claims_lock:
                is_unclaimed = run.run_id not in self._launched
                self._remember_launch(run.run_id)
                return is_unclaimed

    def release_launch(self, run_id: str) -> None:
        """The launch failed: it may be tried again."""
        with self._claims_lock:
            self._admitted.discard(run_id)
            self._launched.pop(run_id, None)

    def _remember_launch(self, run_id: str) -> None:
        self._admitted.discard(run_id)
        self._launched[run_id] = None
        if len(self._launched) > _MOST_REMEMBERED:
            del self._launched[next(iter(self._launched))]

    def _launch(self, run: DagsterRun, workspace: BaseWorkspaceRequestContext | None) -> bool:
        """Whether it was launched; if not, it waits in the queue."""
        try:
            self._instance.run_launcher.launch_run(LaunchRunContext(run, workspace))
            return True
        except Exception:
            logger.exception("run %s could not be launched at once", run.run_id)
            # Its worker may have begun all the same.
            if self._reload(run).status == DagsterRunStatus.STARTING:
                # The queue tries again, and reports what comes of it.
                self._enqueue(run)
            return False

    def _admit(self, run: DagsterRun) -> bool:
        """Whether it may start now; if so it counts as starting already."""
        try:
            with self._admission():
                # The queue is read first: read second, a run that is leaving it could be missing in both.
                if self._instance.get_run_ids(RunsFilter(statuses=[DagsterRunStatus.QUEUED]), limit=1):
                    return False
                if not self._has_room(run, self._in_progress()):
                    return False
                self._count_as_starting(run)
                return True
        except SQLAlchemyError:
            logger.exception("run %s is queued, for it is unknown whether it may start", run.run_id)
            self.release_launch(run.run_id)
            return False

    def _admit_first(self) -> DagsterRun | None:
        """The first queued run that has room; it counts as starting already. None where none has, or none is forked."""
        launcher = self._instance.run_launcher
        if not isinstance(launcher, ForkingLauncher):
            return None
        with self._admission():
            queued = self._instance.get_run_records(
                RunsFilter(statuses=[DagsterRunStatus.QUEUED]), limit=_MOST_QUEUED + 1, ascending=True
            )
            if not queued or len(queued) > _MOST_QUEUED:
                return None
            run = self._first_with_room([record.dagster_run for record in queued])
            if run is None or not launcher.can_fork(run):
                return None
            self._count_as_starting(run)
            return self._reload(run)

    def _first_with_room(self, queued: Sequence[DagsterRun]) -> DagsterRun | None:
        others = self._in_progress()
        in_order = sorted(queued, key=lambda run: -_priority(run))
        return next((run for run in in_order if self._has_room(run, others)), None)

    def _count_as_starting(self, run: DagsterRun) -> None:
        with self._claims_lock:
            self._admitted.add(run.run_id)
        self._instance.report_dagster_event(
            DagsterEvent(DagsterEventType.PIPELINE_STARTING.value, run.job_name), run_id=run.run_id
        )

    def _has_room(self, run: DagsterRun, others: Sequence[RunRecord]) -> bool:
        """As QueuedRunCoordinatorDaemon decides it."""
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
    def _admission(self) -> Iterator[None]:
        """One at a time, in all processes on this database."""
        storage = self._instance.run_storage
        assert isinstance(storage, PooledRunStorage)
        with storage.transaction() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            connection.execute(text(_LOCK_ADMISSION))
            yield


def _priority(run: DagsterRun) -> int:
    """As QueuedRunCoordinatorDaemon reads it: what is no number counts as 0."""
    try:
        return int(run.tags.get(PRIORITY_TAG, "0"))
    except ValueError:
        return 0
