"""Pictures in another size: (height, width, 3) uint8 RGB in, the same out."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow

from stages.imaging.arrays import Picture

MODEL_LONG_SIDE_PX = 1024
"""Vision models reduce what is larger themselves, and hosted ones charge for it."""

_LEAST_SIDE_PX = 8


def scaled_size(image: Picture, long_side_px: int, least_px: int = 1) -> tuple[int, int]:
    """(width, height) in px with the longer side at `long_side_px` and neither below `least_px`."""
    scale = long_side_px / max(image.shape[:2])
    width, height = (max(least_px, round(side * scale)) for side in image.shape[1::-1])
    return width, height


def shrunk(image: Picture, long_side_px: int) -> Picture:
    """For measuring: the means over areas, the longer side at most `long_side_px`; never enlarged."""
    return scaled(image, long_side_px, _LEAST_SIDE_PX) if max(image.shape[:2]) > long_side_px else image


def scaled(image: Picture, long_side_px: int, least_px: int) -> Picture:
    """For measuring: reduced to the means over areas, or enlarged linearly, to `scaled_size`."""
    import cv2

    how = cv2.INTER_AREA if max(image.shape[:2]) > long_side_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, scaled_size(image, long_side_px, least_px), interpolation=how), dtype=np.uint8)


def area_means(image: Picture, width_px: int, height_px: int) -> Picture:
    """For planning: each pixel the mean of the area that it stands for, by Pillow, alike on every machine."""
    return np.asarray(Pillow.fromarray(image).resize((width_px, height_px), Pillow.Resampling.BOX))


def for_model(image: Picture, long_side_px: int = MODEL_LONG_SIDE_PX) -> Picture:
    """For a model, as sharp as can be: the longer side at most `long_side_px`; never enlarged."""
    if max(image.shape[:2]) <= long_side_px:
        return image
    return np.asarray(Pillow.fromarray(image).resize(scaled_size(image, long_side_px), Pillow.Resampling.LANCZOS))
