"""Pictures as the embedded models look at them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

_LEAST_SIDE_PX = 8


def shrunk(image: Picture, long_side_px: int) -> Picture:
    """A picture of shape (height, width, 3) with its longer side reduced to `long_side_px`; never enlarged."""
    import cv2

    scale = long_side_px / max(image.shape[:2])
    if scale >= 1:
        return image
    width, height = (max(_LEAST_SIDE_PX, round(side * scale)) for side in image.shape[1::-1])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
