"""The sensor that starts a run for every variant that waits for one."""

from datetime import UTC, datetime

import dagster as dg

from resources.database import Database, StartableVariant
from sensors.runs import run_key, terminated, variants_in_flight
from variant_assets.assets import STAGES
from variant_assets.job import variant_pipeline
from variant_assets.partitions import job_variants

# What one tick takes; more waits for the next tick, a few seconds later.
MOST_PER_TICK = 100


@dg.sensor(
    job=variant_pipeline,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run for every variant that is done at img_gen, or that waits at a later stage.",
)
def new_variants(context: dg.SensorEvaluationContext, db: dg.ResourceParam[Database]) -> dg.SensorResult:
    in_flight = variants_in_flight(context.instance, datetime.now(UTC))
    found = db.startable_variants(in_flight, most=MOST_PER_TICK)
    # Where an operator ended the run between two stages, the variant does not go on by itself; the sweep says so.
    ended = terminated(context.instance, {variant.held_by for variant in found if variant.held_by})
    waiting = [variant for variant in found if variant.held_by not in ended]
    if not waiting:
        return dg.SensorResult(skip_reason=f"No variant waits; {len(in_flight)} in flight.")
    return dg.SensorResult(
        run_requests=[run_request(variant) for variant in waiting],
        dynamic_partitions_requests=[
            job_variants.build_add_request([str(variant.job_variants_id) for variant in waiting])
        ],
    )


def run_request(variant: StartableVariant) -> dg.RunRequest:
    """One run for one variant, from the stage it waits for to the end."""
    names = [asset.key.to_user_string() for asset in STAGES]
    return dg.RunRequest(
        run_key=run_key(variant),
        partition_key=str(variant.job_variants_id),
        asset_selection=[dg.AssetKey(name) for name in names[names.index(variant.start_stage) :]],
        tags={
            "job_variants/job_id": str(variant.job_id),
            "job_variants/tenant_id": variant.tenant_id or "none",
            "job_variants/from": f"{variant.current_step}, {variant.status}",
        },
    )
