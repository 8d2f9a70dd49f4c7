"""Every scene with every method: the ads, their figures, and what the detector found."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

from benchmarks.creative.defects import DefectFigures, figures_of_defects
from benchmarks.creative.measures import AdFigures, figures_of, share, truth_of
from benchmarks.creative.methods import EMBEDDED, METHODS, OURS, Ad, Given, Tools, found_by, make_ad
from resources.ocr.embedded import EmbeddedOcr
from resources.settings import Settings
from stages.imaging.geometry import iou
from stages.values import Rect, StageError
from testing.scenes.copies import copy_for
from testing.scenes.editions import scene
from testing.scenes.scene import Scene

_MATCH = 0.5
"""IoU from which a found box counts as a true one."""


class DetectorFigures(NamedTuple):
    """Counts over one scene; `kept_clear` is the share of the true objects' pixels inside the forbidden mask."""

    found: int
    true: int
    matched: int
    kept_clear: float
    forbidden_share: float


class SceneFigures(NamedTuple):
    number: int
    ads: tuple[AdFigures, ...]
    refused: dict[str, str]
    same_twice: bool
    detector: DetectorFigures
    defects: DefectFigures


def given(number: int, tools: Tools) -> Given:
    shown, copy = scene(number), copy_for(number)
    return Given(shown, copy, tools.vision.analyze(shown.image, copy), number)


def run(numbers: Sequence[int], workers: int) -> list[SceneFigures]:
    """In `workers` processes with one thread each, in order."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        return list(_shown(pool.map(figures_of_scene, numbers), len(numbers)))


def _shown(results: Iterable[SceneFigures], count: int) -> Iterable[SceneFigures]:
    for done, result in enumerate(results, start=1):
        if done % 10 == 0 or done == count:
            print(f"{done} of {count} scenes", flush=True)
        yield result


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = os.environ["OMP_THREAD_LIMIT"] = "1"
    import cv2

    cv2.setNumThreads(1)


@cache
def tools() -> Tools:
    return Tools.embedded()


@cache
def recogniser() -> EmbeddedOcr:
    return EmbeddedOcr(Settings().tessdata_folders)


def figures_of_scene(number: int) -> SceneFigures:
    shown = given(number, tools())
    truth = truth_of(shown.scene)
    ads: list[AdFigures] = []
    refused: dict[str, str] = {}
    made: dict[str, Ad] = {}
    defects = DefectFigures(False, (), ())
    for method in METHODS:
        try:
            made[method] = make_ad(method, shown, tools())
            ads.append(figures_of(method, shown, truth, made[method], tools(), recogniser()))
            if method == OURS:
                defects = figures_of_defects(shown, made[method], ads[-1], tools(), recogniser())
        except StageError as error:
            refused[method] = str(error)
    same = all(_same(made[method], make_ad(method, shown, tools())) for method in (OURS, EMBEDDED) if method in made)
    return SceneFigures(number, tuple(ads), refused, same, _detector(shown.scene), defects)


def _same(one: Ad, other: Ad) -> bool:
    return (one.plan, one.layout) == (other.plan, other.layout) and np.array_equal(one.image, other.image)


def _detector(shown: Scene) -> DetectorFigures:
    detections, mask = found_by(tools().detector, shown)
    boxes = [found.box for found in detections.objects]
    truth = shown.true_mask()
    return DetectorFigures(
        found=len(boxes),
        true=len(shown.objects),
        matched=_matched(boxes, [found.box for found in shown.objects]),
        kept_clear=share(mask > 0, truth) if shown.objects else 1.0,
        forbidden_share=detections.forbidden_share,
    )


def _matched(boxes: Sequence[Rect], true: Sequence[Rect]) -> int:
    """How many true boxes have a found one of their own; boxes come best first."""
    left = list(true)
    for box in boxes:
        best = max(left, key=lambda true: float(iou(box.corners, true.corners)), default=None)
        if best is not None and iou(box.corners, best.corners) >= _MATCH:
            left.remove(best)
    return len(true) - len(left)
