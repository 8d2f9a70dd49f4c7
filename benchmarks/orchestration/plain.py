"""The sensor as one would write it first: it looks every 30 seconds, Dagster's default."""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from resources.postgres.database import Database
from resources.settings import Settings
from resources.wiring import dagster_resources
from sensors.new_variants import request_waiting_variants
from sensors.rescuer import rescuer
from variant_assets.checks import job_completion
from variant_assets.job import variant_pipeline


@dg.sensor(job=variant_pipeline, default_status=dg.DefaultSensorStatus.RUNNING)
def plain(context: dg.SensorEvaluationContext, db: dg.ResourceParam[Database]) -> dg.SensorResult:
    """Reads the table."""
    return request_waiting_variants(context.instance, db, "plain")


def definitions(assets: Iterable[Any], sensors: Iterable[dg.SensorDefinition] = (plain, rescuer)) -> dg.Definitions:
    """The pipeline of this repository with the given stages and sensors."""
    return dg.Definitions(
        assets=list(assets),
        asset_checks=[job_completion],
        jobs=[variant_pipeline],
        sensors=list(sensors),
        resources=dagster_resources(Settings()),
        executor=dg.in_process_executor,
    )
