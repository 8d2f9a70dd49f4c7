"""The sensor that repairs what a crash, a terminated run or a late hand-over left behind."""

from collections.abc import Collection
from datetime import UTC, datetime
from uuid import UUID

import dagster as dg

from resources.postgres.database import Database
from variant_assets.runs import awaits_retry, outcome, run_key, runs_by_key, terminated, variants_in_flight

MOST_PER_TICK = 100
# The last events of a run may arrive so much later than its end.
GRACE_S = 10.0


@dg.sensor(
    minimum_interval_seconds=4,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Completes jobs handed over after their variants ended, restarts stages whose worker died, and fails"
    " variants whose run was terminated.",
)
def rescuer(context: dg.SensorEvaluationContext, db: dg.ResourceParam[Database]) -> dg.SkipReason:
    done = [*settle_late_jobs(db), *recover_left_running(db, context.instance)]
    in_flight = variants_in_flight(context.instance, datetime.now(UTC))
    done += [*end_terminated(db, context.instance, in_flight), *requeue_never_begun(db, context.instance, in_flight)]
    for line in done:
        context.log.info(line)
    return dg.SkipReason("; ".join(done) if done else "Nothing was left behind.")


def settle_late_jobs(db: Database) -> list[str]:
    """Sets jobs to done or failed whose variants ended before the hand-over, or which have lost a variant since."""
    settled = [(job, db.maintenance.settle_job(job)) for job in db.maintenance.unsettled_jobs(most=MOST_PER_TICK)]
    return [f"job {job} is {progress.job_status}" for job, progress in settled]


def recover_left_running(db: Database, instance: dg.DagsterInstance, *, grace_s: float = GRACE_S) -> list[str]:
    """Repairs variants that are running in the table although their run has ended."""
    lines = []
    for variant in db.maintenance.running_variants(older_than_s=grace_s, most=MOST_PER_TICK):
        run = instance.get_run_by_id(variant.claimed_by) if variant.claimed_by else None
        if run is not None and (not run.is_finished or awaits_retry(instance, run)):
            continue
        if run is not None and run.status is dg.DagsterRunStatus.CANCELED:
            db.claims.end_terminated(variant.job_variants_id, run.run_id)
            done = "ended, its run was terminated"
        else:
            done = db.claims.recover(variant.job_variants_id, variant.claimed_by)
        lines.append(f"variant {variant.job_variants_id} at {variant.current_step}: {done}")
    return lines


def end_terminated(db: Database, instance: dg.DagsterInstance, in_flight: Collection[UUID]) -> list[str]:
    """Fails variants that wait between two stages because an operator terminated their run."""
    held = db.run_requests.held_variants(in_flight, most=MOST_PER_TICK)
    terminated_runs = terminated(instance, {str(variant.held_by) for variant in held})
    return [
        f"variant {variant.job_variants_id} at {variant.start_stage}: ended, its run was terminated"
        for variant in held
        if variant.held_by in terminated_runs
        and db.claims.end_terminated(variant.job_variants_id, str(variant.held_by))
    ]


def requeue_never_begun(db: Database, instance: dg.DagsterInstance, in_flight: Collection[UUID]) -> list[str]:
    """Requeues variants whose run has ended, or was never submitted, before it began its stage.

    A variant whose run an operator terminated before it began is not requeued.
    """
    waiting = db.run_requests.unbegun_variants(in_flight, most=MOST_PER_TICK)
    runs = runs_by_key(instance, [run_key(variant) for variant in waiting])
    lines = []
    for variant in waiting:
        run = runs.get(run_key(variant))
        if run is None or not _is_over(instance, run):
            continue
        if outcome(run) == "terminated":
            db.run_requests.record_outcome(variant, "terminated")
        elif db.run_requests.requeue(variant):
            lines.append(f"variant {variant.job_variants_id} requested again at {variant.start_stage}")
    return lines


def _is_over(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """The run has ended for good. One that is not in flight and NOT_STARTED was never submitted, and will not be."""
    return (run.is_finished or run.status is dg.DagsterRunStatus.NOT_STARTED) and not awaits_retry(instance, run)
