"""The glyphs of a line, cut out by their known colour: black on white, as recognisers like them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variant_assets.stages.values import Rgb

Picture = NDArray[np.uint8]

# RGB distances to the text colour: up to the first a pixel is glyph, beyond the second background.
_GLYPH, _BACKGROUND = 8.0, 60.0
_MARGIN_PX = 12


def glyph_map(image: Picture, crop_px: tuple[int, int, int, int], fill: Rgb, height_px: int) -> Picture:
    """Shape (height_px + margins, …), uint8, 0 = glyph. `crop_px` is (left, top, right, bottom), with room
    around the ink.

    What has the text colour but reaches out of the crop, or is a speck, is background and left out.
    """
    import cv2

    left, top, right, bottom = crop_px
    crop = image[top:bottom, left:right].astype(np.float32)
    distance = np.linalg.norm(crop - np.array(fill, dtype=np.float32), axis=2)
    ink = 1 - np.clip((distance - _GLYPH) / (_BACKGROUND - _GLYPH), 0, 1)
    kept = cv2.dilate(_glyph_components(ink), np.ones((3, 3), np.uint8))
    grey = np.round(255 * (1 - ink * kept)).astype(np.uint8)
    scale = height_px / max(1, bottom - top)
    size = (max(1, round(grey.shape[1] * scale)), height_px)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.pad(cv2.resize(grey, size, interpolation=method), _MARGIN_PX, constant_values=255)


def _glyph_components(ink: NDArray[np.float32]) -> Picture:
    import cv2

    height, width = ink.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats((ink > 0.25).astype(np.uint8), connectivity=8)
    x, y, w, h, area = (stats[:, column] for column in range(5))
    inside = (x > 0) & (y > 0) & (x + w < width) & (y + h < height)
    kept = inside & (area >= (0.04 * height) ** 2)
    kept[0] = False
    return np.asarray(kept[labels], dtype=np.uint8) if count > 1 else np.zeros_like(ink, dtype=np.uint8)
