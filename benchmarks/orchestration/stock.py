"""The trivial pipeline as one would write it first: one sensor that looks every 30 seconds, Dagster's default."""

import dagster as dg

from benchmarks.orchestration.trivial import definitions
from resources.database import Database
from sensors.new_variants import look
from sensors.sweep import sweep
from variant_assets.job import variant_pipeline


@dg.sensor(job=variant_pipeline, default_status=dg.DefaultSensorStatus.RUNNING)
def plain(context: dg.SensorEvaluationContext, db: dg.ResourceParam[Database]) -> dg.SensorResult:
    """Reads the table."""
    return look(context.instance, db, "plain")


defs = definitions([plain, sweep])
