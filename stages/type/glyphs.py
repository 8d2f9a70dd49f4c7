"""Glyphs and panels as pixels. Renderer and measurement share these, so both see the same ink."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from stages.imaging.geometry import Corners, Floats, Image, Mask, bounds, outer_corners, size_of
from stages.type.fonts import Fonts
from stages.values import FontFace, GlyphRun, Layout, Panel, Rgb, Size, StageError, TextLine


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
    """(left, top, right, bottom) in px of the ink of placed runs, whole where a picture's border would cut it off."""
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
    """Whole px by which each run moves the pen."""
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


def drawn(image: Image, layout: Layout, fonts: Fonts) -> Image:
    """The picture with everything the layout says: the ad."""
    return with_glyphs(without_glyphs(image, layout), glyph_mask(layout, fonts), layout.fill)


def without_glyphs(image: Image, layout: Layout) -> Image:
    """The picture as it lies under the glyphs: the panel drawn, no text."""
    return with_panel(image, layout.panel) if layout.panel else image.copy()


def with_panel(image: Image, panel: Panel) -> Image:
    """The picture with the panel blended over it; its opacity fades over the feather."""
    size = size_of(image)
    left, top, right, bottom = outer_corners(panel.rect, size, int(np.ceil(panel.feather_px)) + 1)
    opacity = panel.opacity * _panel_shape(panel, size, (left, top, right, bottom))
    result = image.copy()
    result[top:bottom, left:right] = blend(image[top:bottom, left:right], panel.color, opacity)
    return result


def with_glyphs(image: Image, mask: Mask, fill: Rgb) -> Image:
    """The picture with `fill` drawn through the glyph mask."""
    result, found = image.copy(), bounds(mask)
    if found is not None:
        left, top, right, bottom = found
        coverage = mask[top:bottom, left:right] / 255.0
        result[top:bottom, left:right] = blend(image[top:bottom, left:right], fill, coverage)
    return result


def blend(pixels: Image, color: Rgb, opacity: Floats | float) -> Image:
    """`color` over `pixels` (…, 3) at an opacity of shape (…), in sRGB as ads are composed."""
    weight = np.asarray(opacity, dtype=np.float32)[..., None]
    drawn = np.asarray(color, dtype=np.float32)
    return np.rint(pixels + (drawn - pixels) * weight).astype(np.uint8)


def _panel_shape(panel: Panel, size: Size, window: Corners) -> Floats:
    """1 inside the rounded rectangle, falling to 0 over the feather (or one px), for the window's pixels."""
    left, top, right, bottom = panel.rect.corners_px(size)
    radius = min(panel.radius_px, (right - left) / 2, (bottom - top) / 2)
    xs = np.abs(np.arange(window[0], window[2]) + 0.5 - (left + right) / 2) - (right - left) / 2 + radius
    ys = np.abs(np.arange(window[1], window[3]) + 0.5 - (top + bottom) / 2) - (bottom - top) / 2 + radius
    outside = np.hypot(np.maximum(xs, 0.0)[None, :], np.maximum(ys, 0.0)[:, None])
    distance = outside + np.minimum(np.maximum(xs[None, :], ys[:, None]), 0.0) - radius
    if panel.feather_px < 1.0:
        return np.asarray(np.clip(0.5 - distance, 0.0, 1.0))
    faded = np.clip(1.0 - distance / panel.feather_px, 0.0, 1.0)
    return np.asarray(faded * faded * (3.0 - 2.0 * faded))
