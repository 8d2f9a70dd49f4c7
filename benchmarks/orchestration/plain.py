"""The sensor as one would write it first: it looks every 30 seconds, Dagster's default."""

import dagster as dg

from resources.database import Database
from sensors.new_variants import look
from variant_assets.job import variant_pipeline


@dg.sensor(job=variant_pipeline, default_status=dg.DefaultSensorStatus.RUNNING)
def plain(context: dg.SensorEvaluationContext, db: dg.ResourceParam[Database]) -> dg.SensorResult:
    """Reads the table."""
    return look(context.instance, db, "plain")
