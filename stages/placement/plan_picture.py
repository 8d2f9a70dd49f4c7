"""The picture of a plan, for people: the objects that were found and the regions that were proposed."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from stages.imaging.arrays import Picture
from stages.values import Detections, Plan, Rect, Rgb, Size

_OBJECT: Rgb = (235, 64, 52)
_OTHER: Rgb = (255, 255, 255)
_CHOSEN: Rgb = (0, 190, 95)


def planner_picture(image: Picture, detections: Detections, plan: Plan) -> Picture:
    """The picture with objects in red, proposals in white with their rank, the chosen one in green."""
    canvas = Pillow.fromarray(image)
    draw = ImageDraw.Draw(canvas, "RGBA")
    line_px = max(2, min(image.shape[:2]) // 240)
    for found in detections.objects:
        _outline(draw, found.box, plan.size, _OBJECT, line_px, f"{found.label} {found.score:.2f}")
    # The chosen region last, so that nothing lies over it.
    for rank in sorted(range(len(plan.proposals)), key=lambda rank: (rank == plan.chosen, -rank)):
        chosen = rank == plan.chosen
        color, caption = (_CHOSEN, f"{rank + 1} chosen") if chosen else (_OTHER, f"{rank + 1}")
        _outline(draw, plan.proposals[rank].region, plan.size, color, line_px, caption, filled=chosen)
    return np.asarray(canvas)


def _outline(
    draw: ImageDraw.ImageDraw,
    rect: Rect,
    size: Size,
    color: Rgb,
    line_px: int,
    caption: str,
    filled: bool = False,
) -> None:
    left, top, right, bottom = rect.corners_px(size)
    right, bottom = max(left, right - 1), max(top, bottom - 1)
    if filled:
        draw.rectangle((left, top, right, bottom), fill=(*color, 70))
    draw.rectangle((left, top, right, bottom), outline=color, width=line_px)
    text_px = max(10, min(size.width_px, size.height_px) // 45)
    box = draw.textbbox((left + 2 * line_px, top + 2 * line_px), caption, font_size=text_px)
    draw.rectangle((box[0] - 3, box[1] - 3, box[2] + 3, box[3] + 3), fill=(0, 0, 0, 170))
    draw.text((left + 2 * line_px, top + 2 * line_px), caption, fill=color, font_size=text_px)
