"""Processes, recognised with certainty: a process id is used again, an id with its start time on one boot is not."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

# The environment variable in which whoever starts Dagster's processes names each of them. The process named "daemon"
# launches runs; all others put runs into the daemon's queue.
PROCESS_VARIABLE = "SERVICE_PROCESS"
TERMINATION_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def this_boot() -> str:
    """Differs after each start of the machine or of the container: no process of an earlier boot is alive."""
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"


def started_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since the machine's start; None if it has ended.

    Setting the clock does not change it.
    """
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold spaces and parentheses itself.
    state, *rest = line.rpartition(")")[2].split()
    return None if state in "ZX" else int(rest[18])


def open_process(pid: int) -> int | None:
    """A file descriptor that refers to this process for ever, even when its id is used again; None if it has ended."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def wait_for_end(pid: int) -> None:
    """Returns when the process has ended."""
    process = open_process(pid)
    if process is not None:
        try:
            select.select([process], [], [])
        finally:
            os.close(process)
