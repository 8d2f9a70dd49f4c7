"""The sensor that finds what a crash or a late hand-over left behind, and sets it right."""

from datetime import UTC, datetime

import dagster as dg

from resources.postgres.database import Database
from variant_assets.runs import awaits_retry, run_key, runs_by_key, terminated, variants_in_flight

MOST_PER_TICK = 100
# Time for a run's last events to arrive before its variant counts as left behind.
GRACE_S = 10.0


@dg.sensor(
    minimum_interval_seconds=4,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Settles jobs handed over after their variants ended, restarts stages whose worker died, and ends"
    " variants whose run was terminated.",
)
def rescuer(context: dg.SensorEvaluationContext, db: dg.ResourceParam[Database]) -> dg.SkipReason:
    done = [
        *settle_late_jobs(db),
        *recover_left_running(db, context.instance),
        *end_terminated(db, context.instance, datetime.now(UTC)),
        *requeue_never_begun(db, context.instance, datetime.now(UTC)),
    ]
    for line in done:
        context.log.info(line)
    return dg.SkipReason("; ".join(done) if done else "Nothing was left behind.")


def settle_late_jobs(db: Database) -> list[str]:
    """Jobs whose variants had all ended before the hand-over, or lost a variant since."""
    settled = [(job, db.maintenance.settle_job(job)) for job in db.maintenance.unsettled_jobs(most=MOST_PER_TICK)]
    return [f"job {job} is {progress.job_status}" for job, progress in settled]


def recover_left_running(db: Database, instance: dg.DagsterInstance, *, grace_s: float = GRACE_S) -> list[str]:
    """Variants that are running in the table while their run has ended."""
    lines = []
    for variant in db.maintenance.running_variants(older_than_s=grace_s, most=MOST_PER_TICK):
        run = instance.get_run_by_id(variant.claimed_by) if variant.claimed_by else None
        if run is not None and (not run.is_finished or awaits_retry(instance, run)):
            continue
        if run is not None and run.status is dg.DagsterRunStatus.CANCELED:
            db.claims.end_terminated(variant.job_variants_id, run.run_id)
            outcome = "ended, its run was terminated"
        else:
            outcome = db.claims.recover(variant.job_variants_id, variant.claimed_by)
        lines.append(f"variant {variant.job_variants_id} at {variant.current_step}: {outcome}")
    return lines


def end_terminated(db: Database, instance: dg.DagsterInstance, now: datetime) -> list[str]:
    """Variants that wait between two stages because an operator terminated their run."""
    waiting = db.run_requests.startable(variants_in_flight(instance, now), most=MOST_PER_TICK)
    ended = terminated(instance, {variant.held_by for variant in waiting if variant.held_by})
    return [
        f"variant {variant.job_variants_id} at {variant.start_stage}: ended, its run was terminated"
        for variant in waiting
        if variant.held_by in ended and db.claims.end_terminated(variant.job_variants_id, str(variant.held_by))
    ]


def requeue_never_begun(db: Database, instance: dg.DagsterInstance, now: datetime) -> list[str]:
    """Variants that wait although the run for their state has ended: it never got to begin its stage."""
    waiting = db.run_requests.startable(variants_in_flight(instance, now), most=MOST_PER_TICK)
    runs = runs_by_key(instance, [run_key(variant) for variant in waiting])
    lines = []
    for variant in waiting:
        run = runs.get(run_key(variant))
        # A run an operator terminated before it began stays terminated.
        if run is None or run.status is dg.DagsterRunStatus.CANCELED or awaits_retry(instance, run):
            continue
        if db.run_requests.requeue(variant.job_variants_id, variant.state_revision):
            lines.append(f"variant {variant.job_variants_id} asked for again at {variant.start_stage}")
    return lines
