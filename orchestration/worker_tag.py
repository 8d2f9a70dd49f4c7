"""Which process runs a run, written into the run's tags, so that every process of the host can find it."""

from __future__ import annotations

import json
import os
import signal
import socket
from dataclasses import asdict, dataclass

from dagster import DagsterRun

from orchestration.processes import started_ticks, this_boot

WORKER_TAG = "job_variants/worker"


@dataclass(frozen=True)
class Worker:
    """A process that certainly is this run's."""

    run: str
    pid: int
    started_ticks: int
    host: str
    boot: str

    @classmethod
    def of_this_process(cls, run_id: str) -> Worker:
        pid = os.getpid()
        ticks = started_ticks(pid)
        assert ticks is not None
        return cls(run_id, pid, ticks, socket.gethostname(), this_boot())

    @classmethod
    def of_run(cls, run: DagsterRun) -> Worker | None:
        """None where no worker has said yet that it runs this run; a retry bears a copy of its first run's tag."""
        tag = run.tags.get(WORKER_TAG)
        worker = cls(**json.loads(tag)) if tag else None
        return worker if worker is not None and worker.run == run.run_id else None

    @property
    def tags(self) -> dict[str, str]:
        return {WORKER_TAG: json.dumps(asdict(self))}

    @property
    def is_here(self) -> bool:
        """Whether this machine knows whether it lives."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        return self.boot == this_boot() and started_ticks(self.pid) == self.started_ticks

    def interrupt(self) -> bool:
        """Asks it to end; False when it has ended already."""
        try:
            process = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            # Asked after the process is held: from here on its id cannot become somebody else's.
            if not self.is_alive:
                return False
            signal.pidfd_send_signal(process, signal.SIGINT)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(process)
