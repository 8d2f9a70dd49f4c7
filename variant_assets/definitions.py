"""Where the parts meet."""

import dagster as dg

from resources.wiring import dagster_resources
from sensors.new_variants import more_new_variants, new_variants
from sensors.retention import hourly_retention, retention
from sensors.sweep import sweep
from sensors.throttle import throttle
from variant_assets.assets import STAGES
from variant_assets.checks import job_completion
from variant_assets.job import variant_pipeline

defs = dg.Definitions(
    assets=STAGES,
    asset_checks=[job_completion],
    jobs=[variant_pipeline, retention],
    schedules=[hourly_retention],
    sensors=[new_variants, *more_new_variants, sweep, throttle],
    resources=dagster_resources(),
    executor=dg.in_process_executor,
)
