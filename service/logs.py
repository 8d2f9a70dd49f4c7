"""Keeps the logs of running processes short: each has its last part, and the part before that beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MOST_BYTES = 5_000_000
_OLDER = ".older"


def shorten_logs(folder: Path, most_bytes: int = MOST_BYTES) -> None:
    """Moves the content of each `*.log` that is longer into a file `*.older`, in place of what that held.

    The processes go on writing to the same file, which they have opened to append. What one writes in the moment of the
    move may be lost.
    """
    for log in folder.glob("*.log"):
        if log.stat().st_size > most_bytes:
            shutil.copyfile(log, log.with_suffix(_OLDER))
            os.truncate(log, 0)
