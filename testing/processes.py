"""Processes that a test looks at while they come and go."""

from __future__ import annotations

import psutil


def fork_servers(of: psutil.Process, *, recursive: bool = False) -> list[psutil.Process]:
    """Those of its children that run; with `recursive` of all below it, and workers, which look the same, too."""
    return [
        process for process in of.children(recursive=recursive) if "orchestration.fork_server" in _command_line(process)
    ]


def _command_line(process: psutil.Process) -> list[str]:
    """Empty for what has ended since it was listed, as a zombie or without a trace."""
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []
