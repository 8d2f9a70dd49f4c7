"""The time each stage's own work takes, with any backends, outside Dagster and the database."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from resources.detector import Detector
from resources.ocr import Ocr
from resources.vlm import VisionModel
from stages.imaging.arrays import Picture
from stages.imaging.geometry import size_of
from stages.iou_eval import overlap
from stages.ocr_eval import lines_to_read, score
from stages.overlay import render
from stages.planner import plan
from stages.readability_eval import measure
from stages.type.fonts import Fonts
from stages.yolo_detect import detections_with_mask

ROUNDS = 5


class Backends(NamedTuple):
    vision: VisionModel
    detector: Detector
    ocr: Ocr
    fonts: Fonts


class StageTimes(NamedTuple):
    """By stage, in ms: the first time in this process, and the median afterwards."""

    first: dict[str, float]
    warm: dict[str, float]


def stage_times(backends: Backends, image: Picture, copy: str) -> StageTimes:
    rounds = [_one_variant(backends, image, copy) for _ in range(ROUNDS + 1)]
    return StageTimes(rounds[0], {stage: statistics.median(each[stage] for each in rounds[1:]) for stage in rounds[0]})


def _one_variant(backends: Backends, image: Picture, copy: str) -> dict[str, float]:
    vision, detector, ocr, fonts = backends
    times: dict[str, float] = {}
    with _timed(times, "vlm_analyze"):
        analysis = vision.analyze(image, copy)
    with _timed(times, "yolo_detect"):
        found = detector.detect(image)
        detections, mask = detections_with_mask(found.objects, size_of(image), detector.info, found.masks)
    with _timed(times, "planner"):
        planned = plan(image, detections, mask, analysis, copy)
    with _timed(times, "overlay"):
        layout, ad = render(image, planned, copy, fonts, analysis)
    with _timed(times, "vlm_judge"):
        vision.judge(ad, copy, copy)
    with _timed(times, "ocr_eval"):
        score(layout, ocr.read(ad, lines_to_read(layout)), ocr.info, ocr.knows)
    with _timed(times, "readability_eval"):
        measure(image, ad, layout, fonts)
    with _timed(times, "iou_eval"):
        overlap(layout, detections)
    return times


@contextmanager
def _timed(times: dict[str, float], stage: str) -> Iterator[None]:
    begun_s = time.perf_counter()
    yield
    times[stage] = (time.perf_counter() - begun_s) * 1000
