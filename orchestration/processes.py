"""Processes, told apart for certain: an id is used again, an id with its start time on one boot is not."""

from __future__ import annotations

import os
from pathlib import Path

# What the supervisor tells each process of the service: its name. Only the daemon launches runs, everybody else puts
# them into the daemon's queue.
PROCESS_VARIABLE = "SERVICE_PROCESS"


def this_boot() -> str:
    """A container that was started again has a new one, and none of the processes of before."""
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"


def started_ticks(pid: int) -> int | None:
    """Since the start of the machine, which no change of the clock moves; None for what has ended."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold spaces and parentheses itself.
    state, *rest = line.rpartition(")")[2].split()
    return None if state in "ZX" else int(rest[18])
