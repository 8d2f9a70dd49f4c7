"""One picture of a job: per variant the original with its boxes and the chosen region, the finished ad, its figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from stages.imaging.arrays import Picture
from stages.placement.plan_picture import planner_picture
from stages.type.fonts import Fonts
from stages.values import Detections, Layout, Overlap, Plan, Readability, Recognition, Verdict

_TILE_PX = 460
_GAP_PX = 24
_WORDS_PX = 144
_PAPER, _INK, _QUIET = (250, 249, 246), (32, 32, 32), (110, 110, 110)


class FinishedVariant(NamedTuple):
    """A variant with the results that the sheet shows."""

    original: Picture
    ad: Picture
    detections: Detections
    plan: Plan
    layout: Layout
    recognition: Recognition
    readability: Readability
    overlap: Overlap
    verdict: Verdict


def contact_sheet(variants: Sequence[FinishedVariant], fonts: Fonts) -> Picture:
    """Shape (height, width, 3): one column per variant, planned picture above finished ad above figures."""
    column_px = _TILE_PX + _GAP_PX
    height_px = 2 * column_px + _WORDS_PX + _GAP_PX
    sheet = Image.new("RGB", (column_px * len(variants) + _GAP_PX, height_px), _PAPER)
    for number, variant in enumerate(variants):
        left = _GAP_PX + number * column_px
        planned = planner_picture(variant.original, variant.detections, variant.plan)
        for row, picture in enumerate((planned, variant.ad)):
            tile = Image.fromarray(picture)
            tile.thumbnail((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS)
            inset = (_TILE_PX - tile.width) // 2, (_TILE_PX - tile.height) // 2
            sheet.paste(tile, (left + inset[0], _GAP_PX + row * column_px + inset[1]))
        _write(sheet, (left, 2 * column_px + _GAP_PX // 2), figures(number + 1, variant), fonts)
    return np.asarray(sheet)


def figures(number: int, variant: FinishedVariant) -> list[str]:
    """What stands under a variant, most important first."""
    readability, layout = variant.readability, variant.layout
    passes = "passes" if readability.passes_aa else "fails"
    return [
        f"Variant {number}: {variant.verdict.outcome}, score {variant.verdict.score:.2f}",
        f"{layout.font_size_px} px {layout.face.family}",
        f"contrast {readability.contrast_p1:.1f}:1 at the 1st percentile, {passes} WCAG AA",
        f"objects covered at most {variant.overlap.max_coverage:.1%}",
        f"read back with CER {variant.recognition.cer_ignoring_spaces:.2f}",
    ]


def _write(sheet: Image.Image, corner_px: tuple[int, int], lines: Sequence[str], fonts: Fonts) -> None:
    draw = ImageDraw.Draw(sheet)
    left, top = corner_px
    for row, line in enumerate(lines):
        face = fonts.choose("sans", bold=row == 0)
        font = fonts.load(face, 19 if row == 0 else 16)
        draw.text((left, top + row * 26), line, font=font, fill=_INK if row == 0 else _QUIET)
