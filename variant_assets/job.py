"""The job that takes one variant from any stage to its end."""

import dagster as dg

from variant_assets.assets import STAGES

variant_pipeline = dg.define_asset_job(
    "variant_pipeline",
    selection=dg.AssetSelection.assets(*STAGES),
    description="All eight stages of one variant, then the check that completes it and its job.",
)
