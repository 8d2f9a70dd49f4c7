"""The Dagster resources, built from the settings when a run first needs them; one of each per process."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import dagster as dg
from PIL import Image

from resources.detector import Detector
from resources.detector.saliency import SaliencyDetector
from resources.detector.yolo import YoloDetector, YoloSettings
from resources.images import ImageStore
from resources.ocr import Ocr
from resources.ocr.embedded import EmbeddedOcr
from resources.ocr.paddle import PaddleOcr, PaddleSettings
from resources.postgres.database import Database
from resources.settings import Settings, parse_setting, setting_names
from resources.vlm import VisionModel
from resources.vlm.endpoint import EndpointSettings, EndpointVision
from resources.vlm.local import LocalSettings, LocalVision
from resources.vlm.measured import MeasuredVision
from stages.type.fonts import Fonts

logger = logging.getLogger(__name__)


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


def preload(settings: Settings, *, to_be_forked: bool = False) -> list[str]:
    """Loads what the chosen backends need, so that the first run finds them warm. Raises what their loading raises.

    With `to_be_forked` it leaves out, and returns the settings of, what does not survive that: connections, threads and
    all that lives on a GPU. Each child then loads it itself.
    """
    Image.preinit()
    _fonts(settings)
    chosen: dict[str, VisionModel | Detector | Ocr] = {
        f"VLM={settings.vlm}": _vision(settings),
        f"DETECTOR={settings.detector}": _detector(settings),
        f"OCR={settings.ocr}": _ocr(settings),
    }
    left_out = [name for name, backend in chosen.items() if to_be_forked and not backend.survives_fork]
    for name, backend in chosen.items():
        if name not in left_out:
            backend.load()
    return left_out


def preload_in_fork_server() -> None:
    """Called by the fork server before its first fork, as dagster.yaml says; does nothing with PRELOAD_MODELS=false.

    Raises what loading a backend raises.
    """
    # numpy imports these when they are first used, which would be in the middle of each run.
    for name in ("numpy.fft", "numpy.ma"):
        importlib.import_module(name)
    if not parse_setting("PRELOAD_MODELS", os.environ):
        return
    left_out = preload(Settings.from_environment(os.environ), to_be_forked=True)
    if left_out:
        logger.warning("%s cannot be shared by forked runs; each run loads its own", ", ".join(left_out))


def _resource(build: Callable[[Settings], Any]) -> dg.ResourceDefinition:
    return dg.ResourceDefinition(lambda _: build(_settings(tuple((n, os.environ.get(n)) for n in setting_names()))))


@lru_cache
def _settings(given: tuple[tuple[str, str | None], ...]) -> Settings:
    """Read once, not by each resource of each run."""
    return Settings.from_environment({name: value for name, value in given if value is not None})


@lru_cache
def _database(settings: Settings) -> Database:
    return Database(settings.database_url)


@lru_cache
def _vision(settings: Settings) -> VisionModel:
    if settings.vlm == "local":
        return LocalVision(
            LocalSettings(settings.vlm_model, device=settings.vlm_device, quantization=settings.vlm_quantization)
        )
    if settings.vlm == "endpoint":
        return EndpointVision(
            EndpointSettings(
                settings.vlm_url,
                settings.vlm_model,
                settings.vlm_api_key,
                timeout_s=settings.vlm_timeout_s,
                at_once=settings.vlm_at_once,
            )
        )
    return MeasuredVision()


@lru_cache
def _detector(settings: Settings) -> Detector:
    if settings.detector == "yolo":
        return YoloDetector(
            YoloSettings(
                settings.detector_weights,
                confidence=settings.detector_confidence,
                nms_iou=settings.detector_nms_iou,
                labels=dict(settings.detector_labels),
                trusted_sha256=settings.detector_trusted_sha256,
            )
        )
    return SaliencyDetector()


@lru_cache
def _ocr(settings: Settings) -> Ocr:
    if settings.ocr == "paddle":
        return PaddleOcr(PaddleSettings(settings.ocr_hangul_model, settings.ocr_latin_model, settings.ocr_engine))
    return EmbeddedOcr(settings.tessdata_folders)


@lru_cache
def _fonts(settings: Settings) -> Fonts:
    return Fonts(settings.font_folders)
