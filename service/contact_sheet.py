"""Two pictures of a job: the finished ads side by side with their verdicts, and the plans they were drawn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stages.imaging.arrays import Picture
from stages.placement.plan_picture import planner_picture
from stages.type.fonts import Fonts
from stages.values import Detections, Overlap, Plan, Readability, Recognition, Verdict

_TILE_PX = 600
_GAP_PX = 28
_LINE_PX = 34
_TEXT_LINES = 2
_CAPTION_PX = (1 + _TEXT_LINES) * _LINE_PX
_PAPER, _INK, _QUIET = (255, 255, 255), (32, 32, 32), (100, 100, 100)


class FinishedVariant(NamedTuple):
    """A variant with the results that the sheets show."""

    original: Picture
    ad: Picture
    detections: Detections
    plan: Plan
    recognition: Recognition
    readability: Readability
    overlap: Overlap
    verdict: Verdict


def contact_sheet(variants: Sequence[FinishedVariant], fonts: Fonts) -> Picture:
    """Shape (height, width, 3): the finished ads in a row, below each its verdict and why."""
    return _row([variant.ad for variant in variants], _captions(variants, verdict_lines), fonts)


def plan_sheet(variants: Sequence[FinishedVariant], fonts: Fonts) -> Picture:
    """Shape (height, width, 3): the generated images in a row with objects and text regions, below each the choice."""
    plans = [planner_picture(variant.original, variant.detections, variant.plan) for variant in variants]
    return _row(plans, _captions(variants, plan_lines), fonts)


def verdict_lines(number: int, variant: FinishedVariant) -> tuple[str, str]:
    """The verdict with its score, and the reasons against the ad; for an ad without any, what was measured."""
    verdict = variant.verdict
    reasons = "; ".join(reason.english for reason in verdict.reasons)
    return f"Variant {number}: {verdict.outcome}, score {verdict.score:.2f}", reasons or _measured(variant)


def plan_lines(number: int, variant: FinishedVariant) -> tuple[str, str]:
    """How many objects were found and how many regions proposed, and what speaks for the chosen one."""
    plan = variant.plan
    head = f"Variant {number}: objects {len(variant.detections.objects)}, proposals {len(plan.proposals)}"
    return head, f"chosen: {plan.proposals[plan.chosen].words}"


def _measured(variant: FinishedVariant) -> str:
    covered, wrong = variant.overlap.max_coverage, variant.recognition.cer_ignoring_spaces
    return ", ".join(
        (
            f"contrast {variant.readability.contrast_p1:.1f}:1",
            f"{covered:.1%} of an object covered" if covered else "no object covered",
            f"{wrong:.0%} of the characters read wrong" if wrong else "read back exactly",
        )
    )


def _captions(
    variants: Sequence[FinishedVariant], lines: Callable[[int, FinishedVariant], tuple[str, str]]
) -> list[tuple[str, str]]:
    return [lines(number, variant) for number, variant in enumerate(variants, start=1)]


def _row(pictures: Sequence[Picture], captions: Sequence[tuple[str, str]], fonts: Fonts) -> Picture:
    column_px = _TILE_PX + _GAP_PX
    sheet = Image.new("RGB", (column_px * len(pictures) + _GAP_PX, _TILE_PX + _CAPTION_PX + 3 * _GAP_PX), _PAPER)
    for column, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = _GAP_PX + column * column_px
        tile = Image.fromarray(picture)
        tile.thumbnail((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS)
        sheet.paste(tile, (left + (_TILE_PX - tile.width) // 2, _GAP_PX + (_TILE_PX - tile.height) // 2))
        _write(sheet, (left, _TILE_PX + 2 * _GAP_PX), caption, fonts)
    return np.asarray(sheet)


def _write(sheet: Image.Image, corner_px: tuple[int, int], caption: tuple[str, str], fonts: Fonts) -> None:
    draw = ImageDraw.Draw(sheet)
    left, top = corner_px
    head, rest = (fonts.load(fonts.choose("sans", bold=bold), size_px) for bold, size_px in ((True, 26), (False, 21)))
    draw.text(corner_px, caption[0], font=head, fill=_INK)
    for row, line in enumerate(_wrapped(caption[1], rest), start=1):
        draw.text((left, top + row * _LINE_PX), line, font=rest, fill=_QUIET)


def _wrapped(text: str, font: ImageFont.FreeTypeFont) -> list[str]:
    """The text in lines as wide as a picture; what is more than the caption holds is left out, with an ellipsis."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= _TILE_PX:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines if len(lines) <= _TEXT_LINES else [*lines[: _TEXT_LINES - 1], f"{lines[_TEXT_LINES - 1]} …"]
