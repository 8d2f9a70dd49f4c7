"""Processes that a test looks at while they come and go."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


def fork_servers(among: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that run, and workers, which look the same."""
    return [process for process in among if "orchestration.fork_server" in _command_line(process)]


def _command_line(process: psutil.Process) -> list[str]:
    """Empty for what has ended since it was listed, as a zombie or without a trace."""
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []
