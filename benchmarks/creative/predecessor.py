"""The predecessor's placement and drawing, as far as its description goes.

One banner in a fixed place, or the first of five rectangles whose IoU with every object is at most 0.05; padding of
8 %; words wrapped at spaces, 96 px down to 28 px until they fit, and drawn at 28 px even when they do not; the
recommended colour, with nothing under it. The description names one of the five rectangles; the others are the same
band lower down, and a column on each side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.imaging.arrays import Picture
from stages.imaging.geometry import inner_corners, iou, size_of
from stages.type.ad_copy import normalise_copy
from stages.type.fonts import Fonts
from stages.type.glyphs import line_ink, placed_runs, runs_mask, with_glyphs
from stages.values import FontFace, Layout, Rect, Rgb, TextLine

FIXED = Rect(x=0.1, y=0.05, width=0.8, height=0.18)
FIVE = (
    FIXED,
    Rect(x=0.1, y=0.77, width=0.8, height=0.18),
    Rect(x=0.1, y=0.41, width=0.8, height=0.18),
    Rect(x=0.05, y=0.25, width=0.35, height=0.5),
    Rect(x=0.6, y=0.25, width=0.35, height=0.5),
)
_LARGEST_PX, _SMALLEST_PX, _STEP_PX = 96, 28, 4
_PADDING = 0.08
_LEADING = 1.2
_IOU_LIMIT = 0.05


def first_allowed(rectangles: Sequence[Rect], boxes: Sequence[Rect]) -> Rect:
    """The first rectangle with IoU ≤ 0.05 against every box, else the first."""
    allowed = (rect for rect in rectangles if all(iou(rect.corners, box.corners) <= _IOU_LIMIT for box in boxes))
    return next(allowed, rectangles[0])


def written(image: Picture, region: Rect, copy: str, fill: Rgb, fonts: Fonts) -> tuple[Layout, Picture]:
    size, face, text = size_of(image), fonts.choose("sans"), normalise_copy(copy).replace("\n", " ")
    left, top, right, bottom = inner_corners(region, size)
    room_x, room_y = round(_PADDING * (right - left)), round(_PADDING * (bottom - top))
    width, height = right - left - 2 * room_x, bottom - top - 2 * room_y
    font_size_px, texts = _set(text, width, height, face, fonts)
    leading = round(_LEADING * font_size_px)
    lines, masks = [], []
    y = top + room_y + (height - leading * len(texts)) // 2 + font_size_px
    for number, line in enumerate(texts):
        runs = fonts.runs(line, face)
        ink = line_ink(runs, font_size_px, fonts)
        x, baseline = left + room_x + (width - ink[2] - ink[0]) // 2, y + number * leading
        placed = placed_runs(runs, font_size_px, x, baseline, fonts)
        masks.append(runs_mask(placed, font_size_px, size, fonts))
        corners = ink[0] + x, ink[1] + baseline, ink[2] + x, ink[3] + baseline
        lines.append(TextLine(text=line, runs=placed, ink=Rect.from_corners_px(*corners, size)))
    block = _around([line.ink for line in lines])
    layout = Layout(
        text=text,
        lines=tuple(lines),
        region=region,
        ink=block,
        face=face,
        font_size_px=font_size_px,
        line_height_px=leading,
        fill=fill,
        contrast_p1=1.0,
        proposal=0,
        size=size,
    )
    return layout, with_glyphs(image, np.maximum.reduce(masks), fill)


def _around(rects: Sequence[Rect]) -> Rect:
    left, top = min(rect.x for rect in rects), min(rect.y for rect in rects)
    right, bottom = max(rect.right for rect in rects), max(rect.bottom for rect in rects)
    return Rect(x=left, y=top, width=min(1 - left, right - left), height=min(1 - top, bottom - top))


def _set(text: str, width: int, height: int, face: FontFace, fonts: Fonts) -> tuple[int, list[str]]:
    for font_size_px in range(_LARGEST_PX, _SMALLEST_PX - 1, -_STEP_PX):
        lines = _wrapped(text, width, face, font_size_px, fonts)
        widest = max(fonts.load(face, font_size_px).getlength(line) for line in lines)
        if widest <= width and round(_LEADING * font_size_px) * len(lines) <= height:
            return font_size_px, lines
    return _SMALLEST_PX, _wrapped(text, width, face, _SMALLEST_PX, fonts)


def _wrapped(text: str, width: int, face: FontFace, font_size_px: int, fonts: Fonts) -> list[str]:
    font = fonts.load(face, font_size_px)
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
