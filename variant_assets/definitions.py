"""Where the parts meet."""

import os
from functools import cache

import dagster as dg

from resources.loading.availability import require_runnable
from resources.wiring import dagster_resources
from sensors.new_variants import more_new_variants, new_variants
from sensors.rescuer import rescuer
from sensors.throttle import throttle
from variant_assets.assets import STAGES
from variant_assets.checks import job_completion
from variant_assets.job import variant_pipeline
from variant_assets.retention import hourly_retention, retention


@dg.definitions
def defs() -> dg.Definitions:
    """Loaded by Dagster, not by an import. A chosen model that cannot run is the code location's error, in the UI."""
    return _definitions()


@cache
def _definitions() -> dg.Definitions:
    """One object per process: Dagster asks again in every run, and a forked run finds what its server has built."""
    require_runnable(os.environ)
    return dg.Definitions(
        assets=STAGES,
        asset_checks=[job_completion],
        jobs=[variant_pipeline, retention],
        schedules=[hourly_retention],
        sensors=[new_variants, *more_new_variants, rescuer, throttle],
        resources=dagster_resources(),
        executor=dg.in_process_executor,
    )
