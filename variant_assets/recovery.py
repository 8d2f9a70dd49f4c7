"""Repairs what ended runs left behind. It alone starts a variant again; Dagster's own retries of runs are off."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import dagster as dg

from resources.postgres.database import Database
from resources.postgres.values import RunningVariant, WaitingVariant
from variant_assets.runs import is_terminated, run_key, runs_by_id, runs_by_key, terminated

MOST_PER_LOOK = 100
# A run that Dagster does not know may be one of another instance that has only just begun.
UNKNOWN_FOR_S = 10.0


def settle_late_jobs(db: Database) -> list[str]:
    """Sets jobs to done or failed whose variants ended before the hand-over, or which have lost a variant since."""
    settled = [(job, db.maintenance.settle_job(job)) for job in db.maintenance.unsettled_jobs(most=MOST_PER_LOOK)]
    return [f"job {job} is {progress.job_status}" for job, progress in settled]


def recover_left_running(
    db: Database, instance: dg.DagsterInstance, *, unknown_for_s: float = UNKNOWN_FOR_S
) -> list[str]:
    """Repairs variants that are running in the table although their run has ended."""
    variants = db.maintenance.running_variants(older_than_s=0.0, most=MOST_PER_LOOK)
    runs = runs_by_id(instance, {variant.claimed_by for variant in variants if variant.claimed_by})
    unknown = {variant.job_variants_id for variant in variants if variant.claimed_by not in runs}
    if unknown:
        old = db.maintenance.running_variants(older_than_s=unknown_for_s, most=MOST_PER_LOOK)
        unknown &= {variant.job_variants_id for variant in old}
    ended = {run_id for run_id, run in runs.items() if run.is_finished}
    return [
        f"variant {variant.job_variants_id} at {variant.current_step}: {_recover(db, variant, runs)}"
        for variant in variants
        if variant.job_variants_id in unknown or variant.claimed_by in ended
    ]


def _recover(db: Database, variant: RunningVariant, runs: dict[str, dg.DagsterRun]) -> str:
    run = runs.get(variant.claimed_by or "")
    if run is not None and is_terminated(run):
        db.claims.end_terminated(variant.job_variants_id, run.run_id)
        return "ended, its run was terminated"
    return db.claims.recover(variant.job_variants_id, variant.claimed_by)


def end_terminated(db: Database, instance: dg.DagsterInstance, in_flight: Collection[UUID]) -> list[str]:
    """Fails variants that wait between two stages because an operator terminated their run."""
    held = db.run_requests.held_variants(in_flight, most=MOST_PER_LOOK)
    terminated_runs = terminated(instance, {str(variant.held_by) for variant in held})
    return [
        _said(variant, "ended, its run was terminated")
        for variant in held
        if variant.held_by in terminated_runs
        and db.claims.end_terminated(variant.job_variants_id, str(variant.held_by))
    ]


def end_or_requeue_unbegun(db: Database, instance: dg.DagsterInstance, in_flight: Collection[UUID]) -> list[str]:
    """Of the variants whose run is over before it began its stage: fails those whose run an operator terminated, and
    requeues the others.
    """
    waiting = db.run_requests.unbegun_variants(in_flight, most=MOST_PER_LOOK)
    runs = runs_by_key(instance, [run_key(variant) for variant in waiting])
    lines = []
    for variant in waiting:
        run = runs.get(run_key(variant))
        if run is not None and _is_over(run):
            lines += _end_or_requeue(db, variant, run)
    return lines


def _end_or_requeue(db: Database, variant: WaitingVariant, run: dg.DagsterRun) -> list[str]:
    if not is_terminated(run):
        return [_said(variant, "its run is requested again")] if db.run_requests.requeue(variant) else []
    is_ended = db.claims.end_terminated(variant.job_variants_id, run.run_id, asked_revision=variant.state_revision)
    return [_said(variant, "ended, its run was terminated")] if is_ended else []


def _said(variant: WaitingVariant, done: str) -> str:
    return f"variant {variant.job_variants_id} at {variant.start_stage}: {done}"


def _is_over(run: dg.DagsterRun) -> bool:
    """It has ended. One that is not in flight and NOT_STARTED was never submitted, and will not be."""
    return run.is_finished or run.status is dg.DagsterRunStatus.NOT_STARTED
