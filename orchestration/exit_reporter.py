"""Reports the runs whose worker ended before them, and has queued runs launched in the room that ended runs leave."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from orchestration.fork_client import WorkerExit

_ATTEMPTS = 30
_PAUSE_S = 2.0

logger = logging.getLogger(__name__)


class ExitReporter:
    """Calls `report` for each worker that has ended, and `launch_queued_runs` after it.

    Each is called in a thread of its own, for a launch may wait until a fork server is ready, and reports must not.
    """

    def __init__(self, report: Callable[[WorkerExit], None], launch_queued_runs: Callable[[], None]) -> None:
        self._report = report
        self._launch_queued_runs = launch_queued_runs
        self._exits: queue.SimpleQueue[WorkerExit] = queue.SimpleQueue()
        self._has_room = threading.Event()

    def start(self) -> None:
        for work, name in ((self._report_exits, "exits of workers"), (self._launch_runs, "launches of queued runs")):
            threading.Thread(target=work, name=name, daemon=True).start()

    def worker_ended(self, worker_exit: WorkerExit) -> None:
        self._exits.put(worker_exit)

    def _report_exits(self) -> None:
        while True:
            worker_exit = self._exits.get()
            for _ in range(_ATTEMPTS):
                try:
                    self._report(worker_exit)
                    break
                except Exception:
                    # The database may be down; run monitoring notices the worker's end as well.
                    logger.exception("cannot report the end of run %s's worker; trying again", worker_exit.run_id)
                    time.sleep(_PAUSE_S)
            self._has_room.set()

    def _launch_runs(self) -> None:
        while True:
            self._has_room.wait()
            self._has_room.clear()
            try:
                self._launch_queued_runs()
            except Exception:
                logger.exception("cannot launch queued runs; Dagster's queue will")
