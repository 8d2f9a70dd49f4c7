"""The job that takes one variant from any stage to its end."""

import dagster as dg

from variant_assets.assets import STAGES
from variant_assets.partitions import job_variants

variant_pipeline = dg.define_asset_job(
    "variant_pipeline",
    selection=dg.AssetSelection.assets(*STAGES),
    partitions_def=job_variants,
    description="All eight stages of one variant, then the check that completes it and its job.",
)
