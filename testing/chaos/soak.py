"""A soak: jobs of three variants come steadily while a monkey kills parts of the service at random moments."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import OperationalError

from testing.chaos.kills import kills
from testing.chaos.victim import Victim

_JOB_EVERY_S = 5.0
_KILL_EVERY_S = (3.0, 12.0)
_CALM_WITHIN_S = 180.0


@dataclass(frozen=True)
class Soaked:
    """How many jobs came and how many kills; what became of them; how long the last job took after the last kill."""

    jobs: int
    kills: int
    stuck: int
    failed: int
    doubled: int
    calm_after_s: float

    @property
    def is_sound(self) -> bool:
        return self.stuck == self.failed == self.doubled == 0


def soak(victim: Victim, seed: int, for_s: float) -> Soaked:
    chance = random.Random(seed)
    monkey = kills(victim)
    variants: dict[UUID, list[UUID]] = {}
    killed, next_kill_s = 0, time.monotonic() + chance.uniform(*_KILL_EVERY_S)
    end_s = time.monotonic() + for_s
    next_job_s = 0.0
    while (now_s := time.monotonic()) < end_s:
        if now_s >= next_job_s:
            next_job_s = now_s + _JOB_EVERY_S
            # Whoever writes to a database that is away tries again later, too.
            with suppress(OperationalError):
                job = victim.job()
                variants[job] = [victim.photographed(job) for _ in range(3)]
        if now_s >= next_kill_s:
            monkey[chance.choice(list(monkey))]()
            killed += 1
            next_kill_s = time.monotonic() + chance.uniform(*_KILL_EVERY_S)
        time.sleep(0.1)
    calm_after_s = _calm(victim)
    # Whatever was broken before the soak is not counted.
    every = [variant for of_job in variants.values() for variant in of_job]
    return Soaked(
        len(variants),
        killed,
        _count(victim, every, "NOT (status = 'failed' OR (current_step, status) = ('iou_eval', 'done'))"),
        _count(victim, every, "status = 'failed'"),
        victim.doubled(*every),
        calm_after_s,
    )


def _calm(victim: Victim) -> float:
    open_jobs = "status NOT IN ('done', 'failed')"
    with suppress(TimeoutError):
        return victim.until("all jobs have ended", lambda: _count_jobs(victim, open_jobs) == 0, within_s=_CALM_WITHIN_S)
    return _CALM_WITHIN_S


def _count(victim: Victim, variants: list[UUID], where: str) -> int:
    of_these = f"SELECT count(*) FROM jobs_variants WHERE job_variants_id = ANY(CAST(:keys AS uuid[])) AND {where}"
    return int(victim.row(of_these, keys=[str(variant) for variant in variants])[0])


def _count_jobs(victim: Victim, where: str) -> int:
    return int(victim.row(f"SELECT count(*) FROM jobs WHERE {where}")[0])
