"""How much of the embedded backends' work is done at once in a process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

_FREE = threading.BoundedSemaphore(len(os.sched_getaffinity(0)))

P = ParamSpec("P")
R = TypeVar("R")


def limit_to_cpu_count(work: Callable[P, R]) -> Callable[P, R]:
    """Calls wait for a core: more at once would take memory and save no time."""

    @wraps(work)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with _FREE:
            return work(*args, **kwargs)

    return call
