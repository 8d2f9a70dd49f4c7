"""The figures of one ad against what is really in its picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.creative.methods import Ad, Given, Tools
from resources.ocr import Ocr
from stages.imaging.arrays import Bits, Floats, Picture
from stages.imaging.filters import gradient
from stages.imaging.geometry import outer_corners
from stages.imaging.integral import integral, window_sums
from stages.ocr_eval import lines_to_read, score
from stages.placement.search import LEAST_HEIGHT, LEAST_WIDTH, NARROWEST
from stages.readability_eval import measure
from stages.type.fonts import Fonts
from stages.type.glyphs import runs_ink
from stages.values import Layout, Rect, Size
from testing.scenes.scene import Scene, object_mask

COVERED = 0.02
"""An object is covered when more than this share of it lies under ink."""

_GRID_CELLS = 96


@dataclass(frozen=True)
class Reading:
    """Lines of at least 24 px that the recogniser has the characters for, and how many of them it read exactly.

    `unknown_lines` counts the others; `misread` holds (drawn, read).
    """

    korean_lines: int
    korean_exact: int
    latin_lines: int
    latin_exact: int
    unknown_lines: int
    misread: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class AdFigures:
    """One ad. Shares are 0…1; `occ`, `uti` and `rea` as PosterLayout defines them, over the ink of the lines."""

    scene: str
    method: str
    copy: str
    covered: float
    plated: float
    occ: float
    uti: float
    rea: float
    region_occ: float
    best_occ: float
    free_place_exists: bool
    clipped: bool
    overflowing: bool
    missing_glyphs: int
    font_px: int
    smallest_px: int
    short_side_px: int
    font_share: float
    contrast_min: float
    contrast_p1: float
    contrast_p5: float
    passes_aa: bool
    under: str
    opacity: float
    needs_panel: bool
    lines: int
    reading: Reading
    plan_ms: float
    overlay_ms: float


class SceneTruth(NamedTuple):
    """What all ads on one scene are measured against: `mask` of its objects, `gradient` g / max g of its picture."""

    mask: Bits
    gradient: Floats
    free_place_exists: bool


def truth_of(scene: Scene) -> SceneTruth:
    return SceneTruth(scene.true_mask(), _gradient(scene.image), free_place_exists(scene))


def figures_of(method: str, given: Given, truth: SceneTruth, ad: Ad, tools: Tools, ocr: Ocr) -> AdFigures:
    scene, layout = given.scene, ad.layout
    readability = measure(scene.image, ad.image, layout, tools.fonts)
    ink = ink_bits(layout)
    clipped, overflowing = spill(layout, tools.fonts)
    under, opacity = under_text(layout)
    return AdFigures(
        scene=scene.name,
        method=method,
        copy=given.copy,
        covered=largest_share(scene, ink),
        plated=largest_share(scene, plate_bits(layout)),
        occ=share(truth.mask, ink),
        uti=share(ink, ~truth.mask),
        rea=float(truth.gradient[ink].mean()) if ink.any() else 0.0,
        region_occ=share(truth.mask, rect_bits([layout.region], layout.size)),
        best_occ=best_occlusion(truth.mask, layout.region),
        free_place_exists=truth.free_place_exists,
        clipped=clipped,
        overflowing=overflowing,
        missing_glyphs=sum(len(tools.fonts.missing(run.face, run.text)) for line in layout.lines for run in line.runs),
        font_px=layout.font_size_px,
        smallest_px=min(layout.font_size_of(line) for line in layout.lines),
        short_side_px=min(layout.size.width_px, layout.size.height_px),
        font_share=layout.font_size_px / layout.size.height_px,
        contrast_min=readability.contrast_min,
        contrast_p1=readability.contrast_p1,
        contrast_p5=readability.contrast_p5,
        passes_aa=readability.passes_aa,
        under=under,
        opacity=opacity,
        needs_panel=ad.plan is not None and ad.plan.proposals[layout.proposal].occlusion > 0,
        lines=len(layout.lines),
        reading=_reading(layout, ad.image, ocr),
        plan_ms=ad.plan_ms,
        overlay_ms=ad.overlay_ms,
    )


def _reading(layout: Layout, image: Picture, ocr: Ocr) -> Reading:
    """In Korean, spacing alone is no error."""
    wanted = lines_to_read(layout)
    found = score(layout, ocr.read(image, wanted), ocr.info, ocr.knows)
    korean_lines = korean_exact = latin_lines = latin_exact = unknown_lines = 0
    misread = []
    for line, spec, read in zip(layout.lines, wanted, found.lines, strict=True):
        if layout.font_size_of(line) < 24:
            continue
        if read.unreadable_by_reader:
            unknown_lines += 1
            continue
        korean = spec.script == "hangul"
        exact = (read.edits_ignoring_spaces if korean else read.edits) == 0
        korean_lines, korean_exact = korean_lines + korean, korean_exact + (korean and exact)
        latin_lines, latin_exact = latin_lines + (not korean), latin_exact + (not korean and exact)
        if not exact:
            misread.append((read.expected, read.recognized))
    return Reading(korean_lines, korean_exact, latin_lines, latin_exact, unknown_lines, tuple(misread))


def share(part: Bits, whole: Bits) -> float:
    """|part ∩ whole| / |whole|."""
    size = int(np.count_nonzero(whole))
    return float(np.count_nonzero(part & whole)) / size if size else 0.0


def rect_bits(rects: Sequence[Rect], size: Size) -> Bits:
    bits = np.zeros((size.height_px, size.width_px), dtype=bool)
    for rect in rects:
        left, top, right, bottom = outer_corners(rect, size)
        bits[top:bottom, left:right] = True
    return bits


def ink_bits(layout: Layout) -> Bits:
    return rect_bits([line.ink for line in layout.lines], layout.size)


def plate_bits(layout: Layout) -> Bits:
    """What a plate hides; a scrim below half opacity lets the object be seen."""
    panel = layout.panel
    return rect_bits([panel.rect] if panel is not None and panel.opacity >= 0.5 else [], layout.size)


def largest_share(scene: Scene, bits: Bits) -> float:
    """Of the true object that the bits cover most."""
    return max((share(bits, object_mask(found, scene.size)) for found in scene.objects), default=0.0)


def under_text(layout: Layout) -> tuple[str, float]:
    if layout.panel is None:
        return "nothing", 0.0
    return ("scrim" if layout.panel.feather_px > 0 else "plate"), layout.panel.opacity


def spill(layout: Layout, fonts: Fonts) -> tuple[bool, bool]:
    """(clipped by the picture, reaching out of the region), from the glyphs drawn again with room around them."""
    left, top, right, bottom = outer_corners(layout.region, layout.size)
    inks = [runs_ink(line.runs, layout.font_size_of(line), fonts) for line in layout.lines]
    clipped = any(
        ink[0] < 0 or ink[1] < 0 or ink[2] > layout.size.width_px or ink[3] > layout.size.height_px for ink in inks
    )
    return clipped, any(ink[0] < left or ink[1] < top or ink[2] > right or ink[3] > bottom for ink in inks)


def _gradient(image: Picture) -> Floats:
    """g / max g over the picture (PosterLayout's Rea, in float)."""
    strength = gradient(image.astype(np.float64) @ np.array([0.299, 0.587, 0.114]))
    return np.asarray(strength / max(float(strength.max()), 1e-9))


def _cells(mask: Bits) -> Floats:
    """Mean of the mask over cells of 1/96 of the longer side."""
    height, width = mask.shape
    cell = max(height, width) / _GRID_CELLS
    rows, columns = max(1, round(height / cell)), max(1, round(width / cell))
    table = integral(mask)
    ys, xs = np.arange(rows + 1) * height // rows, np.arange(columns + 1) * width // columns
    sums = np.diff(np.diff(table[np.ix_(ys, xs)], axis=0), axis=1)
    return np.asarray(sums / np.outer(np.diff(ys), np.diff(xs)))


def best_occlusion(mask: Bits, region: Rect) -> float:
    """The least share on the mask of any rectangle of the region's area, at least as wide and high as text needs."""
    cells = _cells(mask)
    rows, columns = cells.shape
    table, area = integral(cells), region.area * rows * columns
    best = 1.0
    for width in range(int(np.ceil(NARROWEST * columns)), columns + 1):
        height = min(rows, max(1, round(area / width)))
        if height >= LEAST_HEIGHT * rows * 0.75:
            best = min(best, float(window_sums(table, height, width).min()) / (width * height))
    return max(0.0, best)


def free_place_exists(scene: Scene) -> bool:
    """Is there a rectangle of the minimum size, inside the picture, clear of all true boxes?"""
    cells = _cells(rect_bits([found.box for found in scene.objects], scene.size))
    rows, columns = cells.shape
    height, width = int(np.ceil(LEAST_HEIGHT * rows)), int(np.ceil(LEAST_WIDTH * columns))
    return bool((window_sums(integral(cells > 0), height, width) < 0.5).any())
