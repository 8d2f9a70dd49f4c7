"""The Dagster resources, built from the settings when a run first needs them; one of each per process."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import dagster as dg

from resources.database import Database
from resources.detector import Detector
from resources.detector.saliency import SaliencyDetector
from resources.images import ImageStore
from resources.ocr import Ocr
from resources.ocr.embedded import EmbeddedOcr
from resources.settings import Settings
from resources.vlm import VisionModel
from resources.vlm.measured import MeasuredVision
from variant_assets.stages.fonts import Fonts


def dagster_resources() -> dict[str, dg.ResourceDefinition]:
    builders: dict[str, Callable[[Settings], Any]] = {
        "db": _database,
        "images": lambda settings: ImageStore(settings.asset_root, settings.max_image_pixels),
        "vision": _vision,
        "detector": _detector,
        "ocr": _ocr,
        "fonts": _fonts,
    }
    return {name: _resource(build) for name, build in builders.items()}


def _resource(build: Callable[[Settings], Any]) -> dg.ResourceDefinition:
    return dg.ResourceDefinition(lambda _: build(Settings.from_environment(os.environ)))


@lru_cache
def _database(settings: Settings) -> Database:
    return Database(settings.database_url)


@lru_cache
def _vision(settings: Settings) -> VisionModel:
    return MeasuredVision()


@lru_cache
def _detector(settings: Settings) -> Detector:
    return SaliencyDetector()


@lru_cache
def _ocr(settings: Settings) -> Ocr:
    return EmbeddedOcr(settings.tessdata_folders)


@lru_cache
def _fonts(settings: Settings) -> Fonts:
    return Fonts(settings.font_folders)
