"""Which process executes a run, written into the run's tags, so that every process of the host can find it."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from dagster import DagsterRun

from orchestration._dagster import HIDDEN_TAG_PREFIX
from orchestration.processes import open_process, started_ticks, this_boot

# Dagster's UI shows no tags with this prefix, and people need not see this one.
WORKER_TAG = f"{HIDDEN_TAG_PREFIX}forked_worker"


@dataclass(frozen=True)
class Worker:
    """The process that executes a run."""

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
    def of_run(cls, run: DagsterRun, former_tags: Sequence[str] = ()) -> Worker | None:
        """None while no worker has begun this run. `former_tags` are other names that the tag has had.

        A retry carries a copy of its first run's tag, which does not count.
        """
        tags = (run.tags[name] for name in (WORKER_TAG, *former_tags) if name in run.tags)
        workers = (cls(**json.loads(tag)) for tag in tags)
        return next((worker for worker in workers if worker.run == run.run_id), None)

    @property
    def tags(self) -> dict[str, str]:
        return {WORKER_TAG: json.dumps(asdict(self))}

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Only where `is_here`."""
        return self.boot == this_boot() and started_ticks(self.pid) == self.started_ticks

    def interrupt(self) -> bool:
        """Sends it SIGINT, on which it cancels its run and ends; False when it has ended already."""
        process = open_process(self.pid)
        if process is None:
            return False
        try:
            # Asked after the process is open: from here on its id cannot become another process's.
            if not self.is_alive:
                return False
            signal.pidfd_send_signal(process, signal.SIGINT)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(process)
