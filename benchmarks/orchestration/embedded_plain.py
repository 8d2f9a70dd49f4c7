"""This repository's stages behind the plain sensor."""

from benchmarks.orchestration.plain import definitions
from variant_assets.assets import STAGES

defs = definitions(STAGES)
