"""The contrast between the drawn glyphs and the pixels next to them, as a distribution over those pixels."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from stages.imaging.arrays import Floats, Mask, Picture
from stages.imaging.contrast import RING_PX, contrast_ratio, is_large_text, needed
from stages.imaging.geometry import Corners, grown, size_of
from stages.imaging.morphology import bounds, ring
from stages.type.fonts import Fonts
from stages.type.glyphs import line_mask, without_glyphs
from stages.values import Layout, Readability, Rgb, Size, StageError, TextLine


class _LineContrast(NamedTuple):
    text: str
    fill: Rgb
    ratios: Floats
    cores: int

    @property
    def p1(self) -> float:
        return float(np.percentile(self.ratios, 1, method="lower"))


def measure(original: Picture, rendered: Picture, layout: Layout, fonts: Fonts) -> Readability:
    """WCAG ratios of each line's measured colour against the ring of up to 3 px around its glyphs.

    The colour is measured on the fully covered pixels of `rendered`; the layout's colour is not used. Each pixel of
    the ring is taken both from the original with its panel and from the finished ad, and the worse of the two
    contrasts counts: a panel that was not drawn, or other text in the ring, then shows. The percentiles are over all
    lines. AA, AAA and the score are those of the weakest line. Both pictures are (height, width, 3) uint8 RGB.
    Raises StageError when one of them has another size than the layout.
    """
    for name, picture in (("original", original), ("rendered", rendered)):
        if size_of(picture) != layout.size:
            raise StageError(
                f"the {name} picture is {size_of(picture)}, the layout for {layout.size}; run overlay again"
            )
    ground = without_glyphs(original, layout)
    lines = [_line_contrast(ground, rendered, layout, line, fonts) for line in layout.lines]
    ratios = np.concatenate([line.ratios for line in lines])
    p1, p5, median = (float(p) for p in np.percentile(ratios, (1, 5, 50), method="lower"))
    worst = min(lines, key=lambda line: line.p1)
    large = _large(layout)
    return Readability(
        contrast_min=float(ratios.min()),
        contrast_p1=p1,
        contrast_p5=p5,
        contrast_median=median,
        measured_fill=worst.fill,
        large_text=large,
        passes_aa=worst.p1 >= needed(large).aa,
        passes_aaa=worst.p1 >= needed(large).aaa,
        score=min(1.0, math.log(worst.p1) / math.log(needed(large).aaa)),
        reason=_reason(worst, large),
    )


def _line_contrast(ground: Picture, rendered: Picture, layout: Layout, line: TextLine, fonts: Fonts) -> _LineContrast:
    mask = line_mask(layout, line, fonts)
    left, top, right, bottom = _around(mask, layout.size)
    mask, under, drawn = (
        mask[top:bottom, left:right],
        ground[top:bottom, left:right],
        rendered[top:bottom, left:right],
    )
    cores = mask == mask.max()
    fill = np.median(drawn[cores], axis=0).astype(np.uint8)
    beside = ring(mask > 0, RING_PX)
    ratios = np.minimum(contrast_ratio(fill, under[beside]), contrast_ratio(fill, drawn[beside]))
    return _LineContrast(line.text, (int(fill[0]), int(fill[1]), int(fill[2])), ratios, int(cores.sum()))


def _around(mask: Mask, size: Size) -> Corners:
    found = bounds(mask)
    if found is None:
        raise StageError("the layout draws no pixel in the picture; run overlay again")
    return grown(found, RING_PX, size)


def _large(layout: Layout) -> bool:
    return all(
        is_large_text(layout.font_size_of(line), all(run.face.bold for run in line.runs), layout.size)
        for line in layout.lines
    )


def _reason(worst: _LineContrast, large: bool) -> str:
    aa, kind = needed(large).aa, "large" if large else "normal"
    verdict = "reaches" if worst.p1 >= aa else "misses"
    colour = "#{:02x}{:02x}{:02x}".format(*worst.fill)
    return (
        f"the weakest line {worst.text!r} in {colour} has {worst.p1:.2f}:1 at its 1st percentile and "
        f"{verdict} {aa}:1 for {kind} text"
    )
