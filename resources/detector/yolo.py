"""Objects by any ultralytics weights that detect or segment, `.pt` or `.onnx`."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from resources.detector import Detected
from resources.loading.device import runs_on_gpu
from resources.loading.loaded_once import LoadedOnce
from resources.loading.weights import require_file, sha256
from stages.imaging.arrays import Picture
from stages.values import DetectedObject, ModelInfo, Rect, Size, StageError
from stages.wording import shown

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
    """One model per process. Every file but `.onnx` is a pickle, that is, a program: it is loaded in safe mode, unless
    its digest is trusted.

    What is loaded is a private copy, and the digest is that of the copy: nobody can exchange the file in between.
    """

    def __init__(self, settings: YoloSettings) -> None:
        self._settings = settings
        self.model: LoadedOnce[Any] = LoadedOnce(self._load)
        self._digest = ""

    @cached_property
    def info(self) -> ModelInfo:
        self.load()
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
        return self._is_pickle and not runs_on_gpu(self._settings.device)

    def load(self) -> None:
        self.model.get()

    def detect(self, image: Picture) -> Detected:
        # ultralytics takes arrays as OpenCV reads them, blue first.
        blue_first = np.ascontiguousarray(image[..., ::-1])
        with self.model.in_use() as model:
            result = self._predict(model, blue_first)
        return self._found(result, image)

    def _predict(self, model: Any, blue_first: Picture) -> Any:
        given = self._settings
        [result] = model.predict(
            blue_first,
            conf=given.confidence,
            iou=given.nms_iou,
            imgsz=given.image_size_px,
            retina_masks=True,
            verbose=False,
            **({} if given.device == "auto" else {"device": given.device}),
        )
        return result

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
        os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", ULTRALYTICS_SAFE_LOAD="true")
        os.environ.setdefault("YOLO_CONFIG_DIR", str(Path.home() / ".cache" / "ultralytics"))
        weights = require_file(self._settings.weights, "DETECTOR_WEIGHTS", "put the weights there, or name others")
        with tempfile.TemporaryDirectory(prefix="weights-") as private:
            # ultralytics goes by the suffix.
            copy = Path(private, f"{weights.stem}{'.pt' if self._is_pickle else '.onnx'}")
            shutil.copyfile(weights, copy)
            self._digest = sha256(copy)
            model = self._load_pickle(copy) if self._is_pickle else _load(copy, weights, safe_only=False)
            if not self._is_pickle:
                # Reads the file, which would otherwise happen with the first picture.
                self._predict(model, np.zeros((64, 64, 3), np.uint8))
        return model

    def _load_pickle(self, copy: Path) -> Any:
        trusted = self._digest in self._settings.trusted_sha256
        try:
            return _load(copy, self._settings.weights, safe_only=not trusted)
        except StageError:
            raise
        except Exception as error:
            if trusted:
                raise
            raise StageError(
                f"DETECTOR_WEIGHTS={self._settings.weights} (sha256 {self._digest}) is a pickle that does not load in"
                f" safe mode ({type(error).__name__}: {shown(error)}); {TO_ONNX}, or, if you trust this file, add its"
                " digest to DETECTOR_TRUSTED_SHA256"
            ) from error

    @property
    def _is_pickle(self) -> bool:
        return self._settings.weights.suffix != ".onnx"


def _box(corners: Any, size: Size) -> Rect:
    left, top, right, bottom = (float(value) for value in corners)
    return Rect.from_corners_px(left, top, right, bottom, size)


def _load(copy: Path, weights: Path, *, safe_only: bool) -> Any:
    """`weights` is the name of the copy for people."""
    from ultralytics import YOLO
    from ultralytics.nn import tasks

    if safe_only and not tasks._SafeLoad.SUPPORTED:
        # ultralytics would load it as a program then, and say nothing.
        raise StageError(f"the installed torch has no safe mode for DETECTOR_WEIGHTS={weights}; {TO_ONNX}")
    before, tasks.SAFE_LOAD = tasks.SAFE_LOAD, safe_only
    try:
        model = YOLO(str(copy))
        if copy.suffix == ".pt" and model.task not in ("detect", "segment"):
            raise StageError(f"DETECTOR_WEIGHTS={weights} is made to {model.task}; name weights that detect or segment")
        return model
    finally:
        tasks.SAFE_LOAD = before
