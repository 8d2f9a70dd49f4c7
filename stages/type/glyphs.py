"""Glyphs as pixels. The stage that draws and those that measure use the same functions, so they get the same ink."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from stages.imaging.arrays import Mask, Picture
from stages.imaging.blending import blend, with_panel
from stages.imaging.geometry import Corners
from stages.imaging.morphology import bounds
from stages.type.fonts import Fonts
from stages.values import FontFace, GlyphRun, Layout, Rgb, Size, StageError, TextLine


def line_mask(layout: Layout, line: TextLine, fonts: Fonts) -> Mask:
    """Coverage 0…255 of one line's glyphs over the whole picture, shape (height, width)."""
    return runs_mask(line.runs, layout.font_size_of(line), layout.size, fonts)


def glyph_mask(layout: Layout, fonts: Fonts) -> Mask:
    """Coverage 0…255 of all glyphs over the whole picture, shape (height, width)."""
    masks = [line_mask(layout, line, fonts) for line in layout.lines]
    return np.asarray(np.maximum.reduce(masks))


def runs_mask(runs: Sequence[GlyphRun], font_size_px: int, size: Size, fonts: Fonts) -> Mask:
    """Coverage 0…255 of glyph runs in a picture of `size`, shape (height, width)."""
    canvas = Pillow.new("L", (size.width_px, size.height_px), 0)
    draw = ImageDraw.Draw(canvas)
    for run in runs:
        font = fonts.load(run.face, font_size_px)
        draw.text((run.origin_x_px, run.origin_y_px), run.text, fill=255, font=font, anchor="ls")
    return np.asarray(canvas)


def line_ink(runs: Sequence[tuple[str, FontFace]], font_size_px: int, fonts: Fonts) -> Corners:
    """(left, top, right, bottom) in px of the ink of a line, from the left end of its baseline."""
    return runs_ink(placed_runs(runs, font_size_px, 0, 0, fonts), font_size_px, fonts)


def runs_ink(runs: Sequence[GlyphRun], font_size_px: int, fonts: Fonts) -> Corners:
    """(left, top, right, bottom) in px of the ink of placed runs, also beyond the border of a picture."""
    widths = advances([(run.text, run.face) for run in runs], font_size_px, fonts)
    left_px, top_px = (
        math.floor(min(origins)) - 2 * font_size_px
        for origins in ([run.origin_x_px for run in runs], [run.origin_y_px for run in runs])
    )
    right_px = math.ceil(max(run.origin_x_px + width for run, width in zip(runs, widths, strict=True)))
    bottom_px = math.ceil(max(run.origin_y_px for run in runs))
    canvas = Size(width_px=right_px - left_px + 2 * font_size_px, height_px=bottom_px - top_px + 2 * font_size_px)
    moved = [
        run.model_copy(update={"origin_x_px": run.origin_x_px - left_px, "origin_y_px": run.origin_y_px - top_px})
        for run in runs
    ]
    found = bounds(runs_mask(moved, font_size_px, canvas, fonts))
    if found is None:
        raise StageError(f"the line {''.join(run.text for run in runs)!r} has no visible glyph; correct the copy")
    left, top, right, bottom = found
    return left + left_px, top + top_px, right + left_px, bottom + top_px


def advances(runs: Sequence[tuple[str, FontFace]], font_size_px: int, fonts: Fonts) -> list[int]:
    """The advance width of each run, in whole px."""
    return [round(fonts.load(face, font_size_px).getlength(text)) for text, face in runs]


def placed_runs(
    runs: Sequence[tuple[str, FontFace]], font_size_px: int, x_px: int, y_px: int, fonts: Fonts
) -> tuple[GlyphRun, ...]:
    """The runs of a line whose baseline starts at (x_px, y_px)."""
    pens = np.cumsum([0, *advances(runs, font_size_px, fonts)])
    return tuple(
        GlyphRun(text=text, face=face, origin_x_px=float(x_px + pen), origin_y_px=float(y_px))
        for (text, face), pen in zip(runs, pens, strict=False)
    )


def draw_layout(image: Picture, layout: Layout, fonts: Fonts) -> Picture:
    """The ad: the picture with the panel and the glyphs of the layout."""
    return with_glyphs(without_glyphs(image, layout), glyph_mask(layout, fonts), layout.fill)


def without_glyphs(image: Picture, layout: Layout) -> Picture:
    """The picture with the panel of the layout and without its glyphs."""
    return with_panel(image, layout.panel) if layout.panel else image.copy()


def with_glyphs(image: Picture, mask: Mask, fill: Rgb) -> Picture:
    """The picture with `fill` blended in by the coverage of the glyph mask."""
    result, found = image.copy(), bounds(mask)
    if found is not None:
        left, top, right, bottom = found
        coverage = mask[top:bottom, left:right] / 255.0
        result[top:bottom, left:right] = blend(image[top:bottom, left:right], fill, coverage)
    return result
