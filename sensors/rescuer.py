"""The sensor that repairs what a crash, a terminated run or a late hand-over left behind.

A waiting copy of `new_variants` repairs most of it sooner; this sensor does so also where nobody waits.
"""

from datetime import UTC, datetime

import dagster as dg

from resources.postgres.database import Database
from variant_assets.recovery import end_or_requeue_unbegun, end_terminated, recover_left_running, settle_late_jobs
from variant_assets.runs import variants_in_flight


@dg.sensor(
    minimum_interval_seconds=4,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Completes jobs handed over after their variants ended, restarts stages whose worker died, and fails"
    " variants whose run was terminated.",
)
def rescuer(context: dg.SensorEvaluationContext, db: dg.ResourceParam[Database]) -> dg.SkipReason:
    done = [*settle_late_jobs(db), *recover_left_running(db, context.instance)]
    in_flight = variants_in_flight(context.instance, datetime.now(UTC))
    done += end_terminated(db, context.instance, in_flight)
    done += end_or_requeue_unbegun(db, context.instance, in_flight)
    for line in done:
        context.log.info(line)
    return dg.SkipReason("; ".join(done) if done else "Nothing was left behind.")
