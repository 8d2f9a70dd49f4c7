"""Waiting for what another thread, process or server does."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(
    awaited: str,
    happened: Callable[[], bool],
    *,
    within_s: float = 30.0,
    every_s: float = 0.02,
    details: Callable[[], str] = str,
) -> float:
    """Asks again and again until it has happened; returns after how many seconds.

    Raises TimeoutError that says what was awaited, with `details` below it: the end of a log, for example.
    """
    began_s = time.monotonic()
    while not happened():
        if time.monotonic() - began_s > within_s:
            raise TimeoutError("\n".join(filter(None, (f"not within {within_s:g} s: {awaited}", details()))))
        time.sleep(every_s)
    return time.monotonic() - began_s
