"""Objects by any ultralytics weights that detect or segment, `.pt` or `.onnx`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from resources.detector import Detected
from resources.loading.device import runs_on_gpu
from resources.loading.loaded_once import LoadedOnce
from resources.loading.weights import require, sha256
from stages.imaging.arrays import Picture
from stages.values import DetectedObject, ModelInfo, Rect, Size, StageError

TO_ONNX = "convert it where you trust it: yolo export model=weights.pt format=onnx"


@dataclass(frozen=True)
class YoloSettings:
    """`labels` gives the weight of each label that text must keep clear of; labels with 0 or not in it are ignored."""

    weights: Path
    confidence: float
    nms_iou: float
    labels: Mapping[str, float]
    trusted_sha256: tuple[str, ...] = ()
    image_size_px: int = 640
    device: str = "auto"


class YoloDetector:
    """One model per process. A `.pt` file is a pickle; unless its digest is trusted, it is loaded in safe mode."""

    def __init__(self, settings: YoloSettings) -> None:
        self._settings = settings
        self.model: LoadedOnce[Any] = LoadedOnce(self._load)

    @cached_property
    def info(self) -> ModelInfo:
        given = self._settings
        return ModelInfo(
            provider="ultralytics",
            model=given.weights.name,
            revision=f"sha256:{self._digest[:16]}",
            parameters={
                "confidence": given.confidence,
                "nms_iou": given.nms_iou,
                "image_size_px": given.image_size_px,
                "labels": ",".join(f"{label}={weight:g}" for label, weight in given.labels.items()),
            },
        )

    @property
    def survives_fork(self) -> bool:
        """An `.onnx` model does not: onnxruntime keeps threads."""
        return self._settings.weights.suffix == ".pt" and not runs_on_gpu(self._settings.device)

    def load(self) -> None:
        self.model.get()

    def detect(self, image: Picture) -> Detected:
        given = self._settings
        # ultralytics takes arrays as OpenCV reads them, blue first.
        blue_first = np.ascontiguousarray(image[..., ::-1])
        with self.model.in_use() as model:
            [result] = model.predict(
                blue_first,
                conf=given.confidence,
                iou=given.nms_iou,
                imgsz=given.image_size_px,
                retina_masks=True,
                verbose=False,
                **({} if given.device == "auto" else {"device": given.device}),
            )
        return self._found(result, image)

    def _found(self, result: Any, image: Picture) -> Detected:
        height_px, width_px = image.shape[:2]
        size = Size(width_px=width_px, height_px=height_px)
        # Three small copies from the device; a copy of the whole result would copy every mask too.
        corners, scores = result.boxes.xyxy.tolist(), result.boxes.conf.tolist()
        labels = [str(result.names[int(number)]) for number in result.boxes.cls.tolist()]
        kept = [i for i, label in enumerate(labels) if self._settings.labels.get(label, 0.0) > 0]
        objects = tuple(
            DetectedObject(
                label=labels[i],
                score=round(scores[i], 4),
                box=_box(corners[i], size),
                weight=self._settings.labels[labels[i]],
            )
            for i in kept
        )
        if result.masks is None:
            return Detected(objects)
        return Detected(objects, tuple((result.masks.data[i] > 0.5).byte().cpu().numpy() for i in kept))

    def _load(self) -> Any:
        weights = require(self._settings.weights, "DETECTOR_WEIGHTS", "put the weights there, or name others")
        os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")
        os.environ.setdefault("YOLO_CONFIG_DIR", str(Path.home() / ".cache" / "ultralytics"))
        trusted = weights.suffix != ".pt" or self._digest in self._settings.trusted_sha256
        try:
            return _load(weights, safe_only=not trusted)
        except StageError:
            raise
        except Exception as error:
            if trusted:
                raise
            raise StageError(
                f"DETECTOR_WEIGHTS={weights} (sha256 {self._digest}) is a pickle that does not load in safe mode"
                f" ({type(error).__name__}: {error}); {TO_ONNX}, or, if you trust this file, add its digest to"
                " DETECTOR_TRUSTED_SHA256"
            ) from error

    @cached_property
    def _digest(self) -> str:
        return sha256(require(self._settings.weights, "DETECTOR_WEIGHTS", "put the weights there, or name others"))


def _box(corners: Any, size: Size) -> Rect:
    left, top, right, bottom = (float(value) for value in corners)
    return Rect.from_corners_px(left, top, right, bottom, size)


def _load(weights: Path, *, safe_only: bool) -> Any:
    from ultralytics import YOLO
    from ultralytics.nn import tasks

    before, tasks.SAFE_LOAD = tasks.SAFE_LOAD, safe_only
    try:
        model = YOLO(str(weights))
        if weights.suffix == ".pt" and model.task not in ("detect", "segment"):
            raise StageError(f"DETECTOR_WEIGHTS={weights} is made to {model.task}; name weights that detect or segment")
        return model
    finally:
        tasks.SAFE_LOAD = before
