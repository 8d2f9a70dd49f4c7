"""Ways to place copy on a picture: the predecessor's two, a random free place, and ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.creative.predecessor import FIVE, FIXED, first_allowed, written
from resources.detector import Detector
from resources.detector.saliency import SaliencyDetector
from resources.fonts import installed_fonts
from resources.settings import Settings
from resources.vlm.measured import MeasuredVision
from stages.imaging.arrays import Mask, Picture
from stages.imaging.geometry import overlap_area
from stages.overlay import render
from stages.planner import plan
from stages.type.fonts import Fonts
from stages.values import (
    Analysis,
    Detections,
    Layout,
    Plan,
    Proposal,
    Rect,
)
from stages.yolo_detect import detections_with_mask
from testing.scenes.scene import Scene

PREDECESSOR, FIVE_RECTANGLES, RANDOM, OURS, EMBEDDED = (
    "predecessor",
    "five rectangles",
    "random free",
    "ours, true boxes",
    "ours, embedded",
)
METHODS = (PREDECESSOR, FIVE_RECTANGLES, RANDOM, OURS, EMBEDDED)

_TRIES = 300
_LEAST_WIDTH, _LEAST_HEIGHT = 0.5, 0.12


class Tools(NamedTuple):
    fonts: Fonts
    vision: MeasuredVision
    detector: Detector

    @classmethod
    def embedded(cls) -> Tools:
        return cls(installed_fonts(Settings().font_folders), MeasuredVision(), SaliencyDetector())


class Given(NamedTuple):
    """What all methods get for one scene."""

    scene: Scene
    copy: str
    analysis: Analysis
    seed: int


class Ad(NamedTuple):
    layout: Layout
    image: Picture
    plan: Plan | None
    plan_ms: float
    overlay_ms: float


def make_ad(method: str, given: Given, tools: Tools) -> Ad:
    """Raises StageError when the method finds no place that holds the copy."""
    return _METHODS[method](given, tools)


def found_by(detector: Detector, scene: Scene) -> tuple[Detections, Mask]:
    found = detector.detect(scene.image)
    return detections_with_mask(found.objects, scene.size, detector.info, found.masks)


def _predecessor(given: Given, tools: Tools) -> Ad:
    return _written(given, FIXED, tools)


def _five(given: Given, tools: Tools) -> Ad:
    boxes = [found.box for found in given.scene.objects]
    return _written(given, first_allowed(FIVE, boxes), tools)


def _written(given: Given, region: Rect, tools: Tools) -> Ad:
    begun_s = time.perf_counter()
    layout, image = written(given.scene.image, region, given.copy, given.analysis.font.color, tools.fonts)
    return Ad(layout, image, None, 0.0, _ms_since(begun_s))


def _random(given: Given, tools: Tools) -> Ad:
    """Drawn as ours are, so that only the place differs."""
    begun_s = time.perf_counter()
    regions = _random_regions([found.box for found in given.scene.objects], given.seed)
    proposals = tuple(
        Proposal(region=region, score=0.0, occlusion=0.0, source="random", words="random") for region in regions
    )
    chance = Plan(proposals=proposals, size=given.scene.size)
    return _drawn(given, chance, _ms_since(begun_s), tools)


def _random_regions(boxes: Sequence[Rect], seed: int) -> list[Rect]:
    """Up to eight free rectangles of the minimum size and more; any rectangles where none is free."""
    random = np.random.default_rng(seed)
    free: list[Rect] = []
    others: list[Rect] = []
    for _ in range(_TRIES):
        width, height = random.uniform(_LEAST_WIDTH, 0.9), random.uniform(_LEAST_HEIGHT, 0.5)
        x, y = random.uniform(0.03, 0.97 - width), random.uniform(0.03, 0.97 - height)
        region = Rect(x=x, y=y, width=width, height=height)
        clear = not any(overlap_area(region.corners, box.corners) for box in boxes)
        (free if clear else others).append(region)
    return (free or others)[:8]


def _ours(given: Given, tools: Tools) -> Ad:
    return _planned(given, *given.scene.truth(), tools)


def _embedded(given: Given, tools: Tools) -> Ad:
    return _planned(given, *found_by(tools.detector, given.scene), tools)


def _planned(given: Given, detections: Detections, mask: Mask, tools: Tools) -> Ad:
    begun_s = time.perf_counter()
    planned = plan(given.scene.image, detections, mask, given.analysis, given.copy)
    return _drawn(given, planned, _ms_since(begun_s), tools)


def _drawn(given: Given, planned: Plan, plan_ms: float, tools: Tools) -> Ad:
    begun_s = time.perf_counter()
    layout, image = render(given.scene.image, planned, given.copy, tools.fonts, given.analysis)
    return Ad(layout, image, planned, plan_ms, _ms_since(begun_s))


def _ms_since(begun_s: float) -> float:
    return (time.perf_counter() - begun_s) * 1000


_METHODS: dict[str, Callable[[Given, Tools], Ad]] = {
    PREDECESSOR: _predecessor,
    FIVE_RECTANGLES: _five,
    RANDOM: _random,
    OURS: _ours,
    EMBEDDED: _embedded,
}
