"""One attack and what became of it."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_LOADED = 5
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class NotHeld(Exception):
    """The attack did what it must not."""


@dataclass(frozen=True)
class Attack:
    """`run` returns in a word how the attack was held, or raises NotHeld. Any other error is not held either.

    It may take `most_s` of work, and five times as long on a machine that works on something else too.
    """

    family: str
    name: str
    run: Callable[[], str]
    most_s: float = 1.0
    most_mb: float = 300.0


@dataclass(frozen=True)
class Outcome:
    attack: Attack
    said: str
    held: bool
    worked_s: float
    took_mb: float


def attempt(attack: Attack) -> Outcome:
    """Runs the attack, and measures its work and the most memory it took beside what was there."""
    # Memory that is free but kept would be taken first, and not be seen.
    ctypes.CDLL(None).malloc_trim(0)
    before_mb = _megabytes("VmRSS")
    _CLEAR.write_text("5")  # the peak is counted from here
    started_s, idle_s = time.monotonic(), time.process_time()
    try:
        said, held = attack.run(), True
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
        said, held = f"{type(error).__name__}: {error}"[:300], False
    took_s, worked_s = time.monotonic() - started_s, time.process_time() - idle_s
    took_mb = max(0.0, _megabytes("VmHWM") - before_mb)
    if held and (worked_s > attack.most_s or took_s > _LOADED * attack.most_s):
        said, held = f"{said}, but only after {took_s:.1f} s, {worked_s:.1f} s of work", False
    if held and took_mb > attack.most_mb:
        said, held = f"{said}, but with {took_mb:.0f} MB", False
    return Outcome(attack, said, held, worked_s, took_mb)


def _megabytes(name: str) -> float:
    [line] = [line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024 / 1e6
