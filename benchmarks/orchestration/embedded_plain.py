"""This repository's stages behind the plain sensor."""

import dagster as dg

from benchmarks.orchestration.plain import plain
from resources.wiring import dagster_resources
from sensors.sweep import sweep
from variant_assets.assets import STAGES
from variant_assets.checks import job_completion
from variant_assets.job import variant_pipeline

defs = dg.Definitions(
    assets=STAGES,
    asset_checks=[job_completion],
    jobs=[variant_pipeline],
    sensors=[plain, sweep],
    resources=dagster_resources(),
    executor=dg.in_process_executor,
)
