"""Detail in a picture: objects have more texture than the ground under them, and they are in focus."""

from __future__ import annotations

import numpy as np

from stages.imaging.arrays import Bits, Floats32, Picture
from stages.imaging.resizing import shrunk

TEXTURE_AROUND_PX = 4.0
SHARP_SIDE_PX = 512  # of the picture whose sharpness is measured: in a smaller one everything is sharp
SHARP_AROUND_PX = 8.0


def detail(image: Picture, small: Picture) -> Floats32:
    """0…2 for each pixel of `small`, which is `image` reduced: texture stronger than the border's, plus sharpness."""
    import cv2

    height, width = small.shape[:2]
    return _texture(small) + cv2.resize(_sharpness(image), (width, height), interpolation=cv2.INTER_AREA)


def _texture(small: Picture) -> Floats32:
    """0…1: how much stronger the local gradient is than one extrapolated from the border."""
    import cv2

    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    along_x, along_y = cv2.Sobel(grey, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(grey, cv2.CV_32F, 0, 1) / 8
    strength = np.log1p(cv2.GaussianBlur(np.hypot(along_x, along_y), (0, 0), TEXTURE_AROUND_PX))
    border = border_of(strength.shape, max(4, min(strength.shape) // 16))
    expected = quadratic_through(strength, border)
    expected = np.clip(expected, strength[border].min(), strength[border].max())
    usual = float((strength - expected)[border].std())
    return np.asarray(np.clip(strength - expected - usual, 0, 1), np.float32)


def _sharpness(image: Picture) -> Floats32:
    """0…1: the contrast of the finest details around each pixel; what is out of focus has none.

    The border plays no part, so it also finds an object that reaches over the border.
    """
    import cv2

    grey = cv2.cvtColor(shrunk(image, SHARP_SIDE_PX), cv2.COLOR_RGB2GRAY).astype(np.float32)
    # Contrast as the eye sees it: relative to the brightness.
    lightness = 40 * np.log1p(grey / 8)
    fine = np.abs(cv2.GaussianBlur(lightness, (0, 0), 0.7) - cv2.GaussianBlur(lightness, (0, 0), 1.4))
    around = cv2.GaussianBlur(fine, (0, 0), SHARP_AROUND_PX)
    return np.asarray(np.clip(around / max(float(np.percentile(around, 95)), 1e-3), 0, 1), np.float32)


def border_of(shape: tuple[int, ...], margin_px: int) -> Bits:
    """True on the outer `margin_px` of a picture of this (height, width)."""
    border = np.ones(shape[:2], dtype=bool)
    border[margin_px:-margin_px, margin_px:-margin_px] = False
    return border


def quadratic_through(values: Floats32, border: Bits) -> Floats32:
    """The quadratic surface that fits the border best, over the whole picture; (height, width) or with channels."""
    height, width = values.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=2)
    weights, *_ = np.linalg.lstsq(terms[border], values[border], rcond=None)
    return np.asarray(terms @ weights, np.float32)
