"""Faults that are no kills: lost notifications, a picture folder that is away, and what people do at a bad moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

from sqlalchemy.exc import NoResultFound

from testing.chaos.victim import Moments, Victim

_TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"
_RUN_OF = "SELECT run_id FROM dagster.runs WHERE partition = :v AND status = :s"


def lost_notification(victim: Victim) -> float:
    """Nobody is told of the new variant. Returns after how many seconds its run began."""
    victim.execute("ALTER TABLE jobs_variants DISABLE TRIGGER announce_variant_state")
    try:
        job = victim.job()
        variant = victim.photographed(job)
        began_s = victim.until("the run begins", lambda: victim.state_of(variant) != ("img_gen", "done"))
    finally:
        victim.execute("ALTER TABLE jobs_variants ENABLE TRIGGER announce_variant_state")
    victim.until_done(job)
    return began_s


def flood_of_notifications(victim: Victim) -> float:
    """Somebody else writes nonsense to the channel while a variant comes."""
    victim.execute("SELECT pg_notify('job_variant_state_changed', n::text) FROM generate_series(1, 20000) n")
    return _done_in(victim)


def pictures_away(victim: Victim, for_s: float) -> float:
    """The folder of the pictures vanishes while a variant is in work. Returns the seconds since it is back."""
    root = victim.asset_root
    elsewhere = root.with_name("elsewhere")
    job = victim.job()
    with Moments(victim.url) as moments:
        variant = victim.photographed(job)
        moments.wait(variant, "vlm_analyze", "running")
    root.rename(elsewhere)
    time.sleep(for_s)
    elsewhere.rename(root)
    return victim.until_done(job)


def queued_run_terminated(victim: Victim) -> float:
    """An operator terminates a run that still waits for its turn."""
    busy = [victim.photographed(victim.job()) for _ in range(8)]
    last = busy[-1]
    victim.until("the last run is queued", lambda: _run(victim, last, "QUEUED") is not None, within_s=20)
    victim.ui.query(_TERMINATE, id=_run(victim, last, "QUEUED"))
    seconds = victim.until("the variant ends", lambda: victim.state_of(last)[1] == "failed")
    victim.until("the others are done", lambda: all(_is_done(victim, variant) for variant in busy[:-1]))
    return seconds


def rewound_in_the_middle(victim: Victim) -> float:
    """Somebody sends a variant back to its beginning while a stage works on it."""
    job = victim.job()
    with Moments(victim.url) as moments:
        variant = victim.photographed(job)
        moments.wait(variant, "planner", "running")
    victim.execute(
        "UPDATE jobs_variants SET current_step = 'img_gen', status = 'done' WHERE job_variants_id = :v", v=variant
    )
    return victim.until_done(job)


def deleted_in_the_middle(victim: Victim) -> float:
    """Somebody deletes a job while a stage works on its variant; the next job is done all the same."""
    job = victim.job()
    with Moments(victim.url) as moments:
        variant = victim.photographed(job)
        moments.wait(variant, "overlay", "running")
    victim.execute("DELETE FROM jobs WHERE job_id = :j", j=job)
    return _done_in(victim)


def handed_over_late(victim: Victim) -> float:
    job = victim.job(step="img_gen", status="done")
    variant = victim.photographed(job)
    victim.until("the variant is done", lambda: _is_done(victim, variant))
    victim.execute("UPDATE jobs SET current_step = 'vlm_analyze', status = 'running' WHERE job_id = :j", j=job)
    return victim.until_done(job)


def burst(victim: Victim, variants_of_big: int) -> float:
    """One tenant orders many variants at once, and another one a single variant after them.

    Raises TimeoutError also when any variant got two runs. Returns the seconds until the single variant was done.
    """
    big, small = victim.job(tenant="big"), victim.job(tenant="small")
    many = [victim.photographed(big) for _ in range(variants_of_big)]
    single = victim.photographed(small)
    seconds = victim.until_done(small)
    victim.until_done(big, within_s=20.0 + 3.0 * variants_of_big)
    runs = "SELECT count(*) FROM dagster.runs WHERE partition = ANY (:variants)"
    counted = victim.row(runs, variants=[str(variant) for variant in (*many, single)])[0]
    if counted != len(many) + 1:
        raise TimeoutError(f"{counted} runs for {len(many) + 1} variants")
    return seconds


HAPPENINGS: dict[str, Callable[[Victim], float]] = {
    "notification lost: until the run begins": lost_notification,
    "20,000 foreign notifications": flood_of_notifications,
    "pictures away for 3 s": lambda victim: pictures_away(victim, 3.0),
    "pictures away for 30 s": lambda victim: pictures_away(victim, 30.0),
    "queued run terminated: until the variant ends": queued_run_terminated,
    "rewound in the middle of a stage": rewound_in_the_middle,
    "job deleted in the middle of a stage": deleted_in_the_middle,
    "handed over after the end": handed_over_late,
    "60 variants at once: until another tenant's one is done": lambda victim: burst(victim, 60),
}


def _done_in(victim: Victim) -> float:
    job = victim.job()
    victim.photographed(job)
    return victim.until_done(job)


def _is_done(victim: Victim, variant: UUID) -> bool:
    return victim.state_of(variant) == ("iou_eval", "done")


def _run(victim: Victim, variant: UUID, status: str) -> str | None:
    with suppress(NoResultFound):
        return str(victim.row(f"{_RUN_OF} LIMIT 1", v=str(variant), s=status)[0])
    return None
