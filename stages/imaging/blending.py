"""Colours laid over a picture: over all of it, or as a panel."""

from __future__ import annotations

import numpy as np

from stages.imaging.arrays import Floats, Picture
from stages.imaging.geometry import Corners, outer_corners, size_of
from stages.values import Panel, Rgb, Size


def blend(pixels: Picture, color: Rgb, opacity: Floats | float) -> Picture:
    """`color` over `pixels` (…, 3) at an opacity of shape (…), in sRGB as ads are composed."""
    weight = np.asarray(opacity, dtype=np.float32)[..., None]
    over = np.asarray(color, dtype=np.float32)
    return np.rint(pixels + (over - pixels) * weight).astype(np.uint8)


def with_panel(image: Picture, panel: Panel) -> Picture:
    """The picture with the panel blended over it; its opacity fades over the feather."""
    size = size_of(image)
    left, top, right, bottom = outer_corners(panel.rect, size, int(np.ceil(panel.feather_px)) + 1)
    opacity = panel.opacity * _panel_shape(panel, size, (left, top, right, bottom))
    result = image.copy()
    result[top:bottom, left:right] = blend(image[top:bottom, left:right], panel.color, opacity)
    return result


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
