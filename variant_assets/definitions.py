"""The code location: all assets, checks, jobs, schedules, sensors and resources."""

import os
from functools import cache

import dagster as dg

from resources.loading.availability import require_runnable
from resources.settings import Settings
from resources.wiring import dagster_resources
from sensors.new_variants import more_new_variants, new_variants
from sensors.rescuer import rescuer
from sensors.throttle import throttle
from variant_assets.assets import STAGES
from variant_assets.checks import job_completion
from variant_assets.job import variant_pipeline
from variant_assets.retention import RetentionPolicy, hourly_retention, retention


@dg.definitions
def defs() -> dg.Definitions:
    """Loaded by Dagster, not by an import. A chosen model that cannot run is the code location's error, in the UI."""
    return _definitions()


@cache
def _definitions() -> dg.Definitions:
    """Made once per process: Dagster asks again in every run, and a forked run finds what its server has made."""
    settings = Settings()
    require_runnable(settings)
    _put_secrets_into_environment(settings)
    return dg.Definitions(
        assets=STAGES,
        asset_checks=[job_completion],
        jobs=[variant_pipeline, retention],
        schedules=[hourly_retention],
        sensors=[new_variants, *more_new_variants, rescuer, throttle],
        resources={**dagster_resources(settings), "retention_policy": RetentionPolicy.of(settings)},
        executor=dg.in_process_executor,
    )


def _put_secrets_into_environment(settings: Settings) -> None:
    """The resources name the variables of secrets, and Dagster looks for them in the environment, not in `.env`."""
    for name, secret in settings.secrets().items():
        if not os.environ.get(name.upper()):
            os.environ[name.upper()] = secret
