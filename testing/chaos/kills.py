"""The kill matrix: each part of the service is killed at each moment of a variant's life."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from stages.pipeline import STAGE_NAMES
from testing.chaos.victim import Moments, Victim

MOMENTS = (("img_gen", "done"), *((stage, "running") for stage in STAGE_NAMES))


def kills(victim: Victim) -> dict[str, Callable[[], None]]:
    return {
        "worker": victim.kill_workers,
        "fork server": victim.kill_servers,
        "daemon": victim.kill_named("daemon"),
        "code server": victim.kill_named("code-server"),
        "supervisor": victim.kill_supervisor,
        "PostgreSQL": victim.kill_postgres,
        "all connections": victim.cut_connections,
        "power cut": victim.cut_power,
    }


@dataclass(frozen=True)
class Cell:
    """One kill at one moment, the seconds from it until the job was done, and what went wrong."""

    kill: str
    moment: str
    seconds: float
    fault: str | None


def cells(seed: int, names: Sequence[str]) -> list[tuple[tuple[str, str], str]]:
    """Every moment with every kill, in an order of chance: the same part is rarely killed twice in a row."""
    every = [(moment, kill) for moment in MOMENTS for kill in names]
    random.Random(seed).shuffle(every)
    return every


def matrix(victim: Victim, chosen: Sequence[tuple[tuple[str, str], str]]) -> Iterator[Cell]:
    for moment, kill in chosen:
        yield _cell(victim, moment, kill)


def _cell(victim: Victim, moment: tuple[str, str], kill: str) -> Cell:
    job = victim.job()
    with Moments(victim.url) as moments:
        variant = victim.photographed(job)
        seen = moments.wait(variant, *moment)
    killed_s = time.monotonic()
    kills(victim)[kill]()
    try:
        victim.until_done(job)
        doubled = victim.doubled(variant)
        fault = f"{doubled} stages ran twice" if doubled else None if seen else "the moment did not come"
    except TimeoutError:
        fault = f"stuck at {victim.state_of(variant)}"
    return Cell(kill, " ".join(moment), time.monotonic() - killed_s, fault)


def table(done: Sequence[Cell]) -> str:
    """One row for each kill."""
    rows = ["| kill | cells | passed | median s | worst s |", "|---|---|---|---|---|"]
    for kill in dict.fromkeys(cell.kill for cell in done):
        of_kill = [cell for cell in done if cell.kill == kill]
        seconds = [cell.seconds for cell in of_kill]
        passed = sum(cell.fault is None for cell in of_kill)
        rows.append(f"| {kill} | {len(of_kill)} | {passed} | {median(seconds):.1f} | {max(seconds):.1f} |")
    return "\n".join(rows)
