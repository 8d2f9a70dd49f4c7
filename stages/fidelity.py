"""Proof by drawing that the finished ad shows its layout, and the layout the ordered copy. No OCR takes part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from stages.imaging.arrays import Picture
from stages.imaging.geometry import Corners, area, overlap_area
from stages.type.ad_copy import normalise_copy
from stages.type.fonts import Fonts
from stages.type.glyphs import advances, draw_layout, runs_ink
from stages.type.text_metrics import without_spaces
from stages.values import Fidelity, Layout, Rect, Size, TextLine

DIFFERS = 40
"""Levels of 255, in any channel. Saving in another format changes less; what the eye sees is more."""


def fidelity(original: Picture, rendered: Picture, layout: Layout, copy: str, fonts: Fonts) -> Fidelity:
    """Draws the layout again and finds the largest connected area where the ad differs from it.

    Both pictures are (height, width, 3) uint8 RGB of the layout's size. The layout itself is checked too: it has the
    ordered copy, no missing glyph, a distance from the borders, lines that are in order and apart, and letters as far
    apart as their font sets them.
    """
    difference, where = _largest_difference(original, rendered, layout, fonts)
    inks = [runs_ink(line.runs, layout.font_size_of(line), fonts) for line in layout.lines]
    text_of_lines = " ".join(line.text for line in layout.lines)
    as_ordered = all(
        without_spaces(text) == without_spaces(normalise_copy(copy))
        for text in (layout.text, text_of_lines, "".join(_glyphs(layout.lines)))
    )
    missing = sum(len(fonts.missing(run.face, run.text)) for line in layout.lines for run in line.runs)
    found = {
        "largest_difference_em2": difference,
        "differs_at": where,
        "text_as_ordered": as_ordered,
        "missing_glyphs": missing,
        "smallest_text_share": min(layout.font_size_of(line) for line in layout.lines) / _short_side_px(layout.size),
        "least_margin_share": _least_margin_px(inks, layout.size) / _short_side_px(layout.size),
        "lines_overlap": max((_overlap(*pair) for pair in pairwise(inks)), default=0.0),
        "lines_in_order": all(upper[1] + upper[3] < lower[1] + lower[3] for upper, lower in pairwise(inks)),
        "displaced_em": max(_displaced_em(line, layout, fonts) for line in layout.lines),
    }
    return Fidelity.model_validate({**found, "reason": _reason(difference, where, as_ordered, text_of_lines)})


def _largest_difference(
    original: Picture, rendered: Picture, layout: Layout, fonts: Fonts
) -> tuple[float, Rect | None]:
    """The area of the largest difference, in squared em of the smallest type, and its box; 0 and None without any."""
    import cv2

    again = draw_layout(original, layout, fonts)
    differs = (cv2.absdiff(again, rendered).max(axis=2) > DIFFERS).astype(np.uint8)
    if not differs.any():
        return 0.0, None
    _, _, boxes, _ = cv2.connectedComponentsWithStats(differs, connectivity=8)
    left, top, width, height, area = max(boxes[1:].tolist(), key=lambda box: box[4])
    em_px = min(layout.font_size_of(line) for line in layout.lines)
    return area / em_px**2, Rect.from_corners_px(left, top, left + width, top + height, layout.size)


def _glyphs(lines: Sequence[TextLine]) -> Iterator[str]:
    for line in lines:
        yield from (run.text for run in line.runs)


def _short_side_px(size: Size) -> int:
    return min(size.width_px, size.height_px)


def _least_margin_px(inks: Sequence[Corners], size: Size) -> int:
    """The least distance of ink from the picture's border; negative where ink lies beyond it."""
    return min(min(left, top, size.width_px - right, size.height_px - bottom) for left, top, right, bottom in inks)


def _overlap(upper: Corners, lower: Corners) -> float:
    """The share of the smaller of two ink rectangles that lies in the other."""
    return float(overlap_area(upper, lower) / min(area(upper), area(lower)))


def _displaced_em(line: TextLine, layout: Layout, fonts: Fonts) -> float:
    """The largest distance, in em, of a run from the place after the run before it, by the font's advance widths."""
    size_px = layout.font_size_of(line)
    widths = advances([(run.text, run.face) for run in line.runs], size_px, fonts)
    gaps = [
        max(
            abs(following.origin_x_px - run.origin_x_px - width),
            abs(following.origin_y_px - run.origin_y_px),
        )
        for (run, following), width in zip(pairwise(line.runs), widths, strict=False)
    ]
    return max(gaps, default=0.0) / size_px


def _reason(difference: float, where: Rect | None, as_ordered: bool, text: str) -> str:
    if not as_ordered:
        return f"the ad says {text!r}, which is not the copy that was ordered"
    if where is None:
        return "the ad is what its layout says, pixel by pixel, and says what was ordered"
    return (
        f"the ad is not what its layout says around {where.x:.0%}, {where.y:.0%} of the picture: {difference:.3f} em²"
        " in one piece"
    )
