"""Libraries that use OpenMP, such as torch, in a process that forks: with one thread before, with all of them after."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLE = "OMP_NUM_THREADS"


@contextmanager
def one_thread() -> Iterator[None]:
    """For what is loaded before a fork: a child of a process in which OpenMP had threads waits for them for ever."""
    given = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "1"
    try:
        yield
    finally:
        if given is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = given


def all_threads() -> None:
    """In a child: torch computes with as many threads as it would have without `one_thread`."""
    if "torch" in sys.modules:
        given = os.environ.get(_VARIABLE, "")
        sys.modules["torch"].set_num_threads(int(given) if given.isdecimal() else len(os.sched_getaffinity(0)))
