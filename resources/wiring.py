"""Dagster's resources: the backends that the settings choose, with their configuration, which the UI shows.

A secret is the name of its variable here (`EnvVar`); Dagster reads the value when a run starts.
"""

from __future__ import annotations

import importlib
import logging
import threading
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import dagster as dg
from PIL import Image

from resources.detector import Detector
from resources.detector.saliency import SaliencyDetector
from resources.detector.yolo import YoloDetector, YoloSettings
from resources.fonts import installed_fonts
from resources.images import ImageStore
from resources.loading.weights import folder_or_name
from resources.ocr import Ocr
from resources.ocr.embedded import EmbeddedOcr
from resources.ocr.paddle import PaddleOcr, PaddleSettings
from resources.postgres.database import Database
from resources.settings import Settings, postgresql_url
from resources.vlm import VisionModel
from resources.vlm.endpoint import EndpointSettings, EndpointVision
from resources.vlm.local import LocalSettings, LocalVision
from resources.vlm.measured import MeasuredVision
from stages.type.fonts import Fonts

logger = logging.getLogger(__name__)

T = TypeVar("T")
_built: dict[tuple[type, str], Any] = {}
_building = threading.RLock()


class BuiltOnce(dg.ConfigurableResource[T]):
    """A resource whose object is built once per process for each configuration.

    Dagster makes the resource anew in every run. A forked run finds the objects that its server has built.
    """

    @abstractmethod
    def build(self) -> T:
        """A new object with this configuration."""

    def create_resource(self, context: dg.InitResourceContext) -> T:
        """The object. Where it cannot be built, the stage that uses it gets the error, and records it in the table.

        Raised here, the error would end the run before its first stage, again and again.
        """
        try:
            return self.built()
        except Exception:
            logger.exception("%s cannot be built", type(self).__name__)
            return cast(T, _BuiltLater(self.built))

    def built(self) -> T:
        """The object of this process with this configuration; built if there is none yet."""
        key = (type(self), self.model_dump_json())
        with _building:
            if key not in _built:
                _built[key] = self.build()
            found: T = _built[key]
            return found


class _BuiltLater:
    """Stands for an object that could not be built: whoever uses it tries again, and gets the reason."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build

    def __getattr__(self, name: str) -> Any:
        return getattr(self._build(), name)


class PostgresResource(BuiltOnce[Database]):
    """The database that the teams share."""

    url: str

    def build(self) -> Database:
        return Database(postgresql_url(self.url))


class ImageStoreResource(BuiltOnce[ImageStore]):
    """The pictures that `/assets/...` URLs name."""

    asset_root: str
    max_image_pixels: int
    formats: list[str]

    def build(self) -> ImageStore:
        return ImageStore(Path(self.asset_root), self.max_image_pixels, self.formats)


class MeasuredVisionResource(BuiltOnce[VisionModel]):
    """Measurements of the picture stand in for a vision-language model."""

    backend: Literal["embedded"] = "embedded"

    def build(self) -> VisionModel:
        return MeasuredVision()


class LocalVisionResource(BuiltOnce[VisionModel]):
    """A vision-language model in the process of the run."""

    backend: Literal["local"] = "local"
    model: str
    device: str
    quantization: str

    def build(self) -> VisionModel:
        return LocalVision(LocalSettings(self.model, device=self.device, quantization=self.quantization))


class EndpointVisionResource(BuiltOnce[VisionModel]):
    """A vision-language model behind an OpenAI-compatible server."""

    backend: Literal["endpoint"] = "endpoint"
    url: str
    # The same with user and password, where it has them.
    private_url: str
    model: str
    timeout_s: int
    at_once: int
    api_key: str
    proxy: str

    def build(self) -> VisionModel:
        return EndpointVision(
            EndpointSettings(
                self.private_url or self.url,
                self.model,
                self.api_key,
                self.proxy or None,
                timeout_s=self.timeout_s,
                at_once=self.at_once,
            )
        )


class SaliencyDetectorResource(BuiltOnce[Detector]):
    """Finds what stands out in the picture."""

    backend: Literal["embedded"] = "embedded"

    def build(self) -> Detector:
        return SaliencyDetector()


class YoloDetectorResource(BuiltOnce[Detector]):
    """Any ultralytics weights that detect or segment."""

    backend: Literal["yolo"] = "yolo"
    weights: str
    confidence: float
    nms_iou: float
    labels: dict[str, float]
    trusted_sha256: list[str]

    def build(self) -> Detector:
        return YoloDetector(
            YoloSettings(
                Path(self.weights),
                confidence=self.confidence,
                nms_iou=self.nms_iou,
                labels=self.labels,
                trusted_sha256=tuple(self.trusted_sha256),
            )
        )


class EmbeddedOcrResource(BuiltOnce[Ocr]):
    """Tesseract for lines with Hangul, PP-OCR for the others."""

    backend: Literal["embedded"] = "embedded"
    tessdata_folders: list[str]

    def build(self) -> Ocr:
        return EmbeddedOcr(tuple(map(Path, self.tessdata_folders)))


class PaddleOcrResource(BuiltOnce[Ocr]):
    """Recognition models of PaddleOCR."""

    backend: Literal["paddle"] = "paddle"
    hangul_model: str
    latin_model: str
    engine: str

    def build(self) -> Ocr:
        return PaddleOcr(PaddleSettings(self.hangul_model, self.latin_model, self.engine))


class FontsResource(BuiltOnce[Fonts]):
    """The font files of this machine."""

    folders: list[str]

    def build(self) -> Fonts:
        return installed_fonts(tuple(map(Path, self.folders)))


class StageLimits(dg.ConfigurableResource[Any]):
    """How long a stage may take, and how much memory. Models that are not embedded load longer and need more."""

    stage_deadline_s: int
    model_deadline_s: int
    stage_memory_mb: int
    stages_with_models: list[str]

    def deadline_s(self, stage: str) -> float:
        return self.model_deadline_s if stage in self.stages_with_models else self.stage_deadline_s

    def memory_mb(self, stage: str) -> int:
        """0 is no limit."""
        return 0 if stage in self.stages_with_models else self.stage_memory_mb


class SensorSettings(dg.ConfigurableResource[Any]):
    """The settings SENSOR_COPIES and THROTTLE."""

    copies: int
    throttle: bool


def dagster_resources(settings: Settings) -> dict[str, dg.ConfigurableResource[Any]]:
    """The resources of assets and sensors by name. Builds nothing yet."""
    return {
        "db": PostgresResource(url=dg.EnvVar("DATABASE_URL")),
        "images": ImageStoreResource(
            asset_root=str(settings.asset_root),
            max_image_pixels=settings.max_image_pixels,
            formats=list(settings.image_formats),
        ),
        "vision": _vision(settings, lambda name: dg.EnvVar(name.upper())),
        "detector": _detector(settings),
        "ocr": _ocr(settings),
        "fonts": _fonts(settings),
        "limits": _stage_limits(settings),
        "sensor_settings": SensorSettings(copies=settings.sensor_copies, throttle=settings.throttle == "on"),
    }


def preload(settings: Settings, *, to_be_forked: bool = False) -> list[str]:
    """Loads what the chosen backends need, so that the first run finds them warm. Raises what their loading raises.

    With `to_be_forked` it leaves out, and returns the settings of, what does not survive that: connections, threads and
    all that lives on a GPU. Each child then loads it itself.
    """
    Image.preinit()
    _fonts(settings).built()
    chosen: dict[str, VisionModel | Detector | Ocr] = {
        f"VLM={settings.vlm}": _vision(settings, settings.secrets().__getitem__).built(),
        f"DETECTOR={settings.detector}": _detector(settings).built(),
        f"OCR={settings.ocr}": _ocr(settings).built(),
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
    settings = Settings()
    if not settings.preload_models:
        return
    left_out = preload(settings, to_be_forked=True)
    if left_out:
        logger.warning("%s cannot be shared by forked runs; each run loads its own", ", ".join(left_out))


def _stage_limits(settings: Settings) -> StageLimits:
    asks = {
        "vlm_analyze": settings.vlm,
        "vlm_judge": settings.vlm,
        "yolo_detect": settings.detector,
        "ocr_eval": settings.ocr,
    }
    return StageLimits(
        stage_deadline_s=settings.stage_deadline_s,
        model_deadline_s=settings.model_deadline_s,
        stage_memory_mb=settings.stage_memory_mb,
        stages_with_models=[stage for stage, backend in asks.items() if backend != "embedded"],
    )


def _vision(settings: Settings, secret: Callable[[str], str]) -> BuiltOnce[VisionModel]:
    """`secret` gives the value of a setting that nobody may see, or the name of its variable."""
    if settings.vlm == "local":
        return LocalVisionResource(
            model=folder_or_name(settings.vlm_model),
            device=settings.vlm_device,
            quantization=settings.vlm_quantization,
        )
    if settings.vlm == "endpoint":
        given = settings.secrets()
        return EndpointVisionResource(
            url=settings.public_vlm_url,
            private_url=secret("vlm_url") if "vlm_url" in given else "",
            proxy=secret("vlm_proxy") if "vlm_proxy" in given else "",
            model=settings.vlm_model,
            timeout_s=settings.vlm_timeout_s,
            at_once=settings.vlm_at_once,
            # Most servers want no key, and the client wants some text.
            api_key=secret("vlm_api_key") if "vlm_api_key" in given else "none",
        )
    return MeasuredVisionResource()


def _detector(settings: Settings) -> BuiltOnce[Detector]:
    if settings.detector == "yolo":
        return YoloDetectorResource(
            weights=str(settings.detector_weights),
            confidence=settings.detector_confidence,
            nms_iou=settings.detector_nms_iou,
            labels=dict(settings.detector_labels),
            trusted_sha256=list(settings.detector_trusted_sha256),
        )
    return SaliencyDetectorResource()


def _ocr(settings: Settings) -> BuiltOnce[Ocr]:
    if settings.ocr == "paddle":
        return PaddleOcrResource(
            hangul_model=folder_or_name(settings.ocr_hangul_model),
            latin_model=folder_or_name(settings.ocr_latin_model),
            engine=settings.ocr_engine,
        )
    return EmbeddedOcrResource(tessdata_folders=_texts(settings.tessdata_folders))


def _fonts(settings: Settings) -> BuiltOnce[Fonts]:
    return FontsResource(folders=_texts(settings.font_folders))


def _texts(folders: tuple[Path, ...]) -> list[str]:
    return [str(folder) for folder in folders]
