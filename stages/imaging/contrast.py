"""Contrast as WCAG 2.2 defines it, of single colours and of sets of pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stages.imaging.arrays import Floats
from stages.values import Rgb, Size

VIEWED_WIDTH_PX = 390
"""Width in CSS px at which a phone shows an ad; WCAG's type sizes are those at which text is seen."""

RING_PX = 3
"""Contrast is measured over the pixels up to this far from the glyph edges."""

_CHANNEL = np.arange(256) / 255.0
_LINEAR = np.where(_CHANNEL <= 0.04045, _CHANNEL / 12.92, ((_CHANNEL + 0.055) / 1.055) ** 2.4)


class Needed(NamedTuple):
    aa: float
    aaa: float


def relative_luminance(colors: ArrayLike) -> Floats:
    """L = 0.2126 R + 0.7152 G + 0.0722 B over linearised channels (WCAG 2.2, "relative luminance").

    `colors` has shape (…, 3), integers 0…255; the result has shape (…,), 0…1.
    """
    rgb = np.asarray(colors)
    linear = _LINEAR
    return np.asarray(0.2126 * linear[rgb[..., 0]] + 0.7152 * linear[rgb[..., 1]] + 0.0722 * linear[rgb[..., 2]])


def contrast_ratio(a: ArrayLike, b: ArrayLike) -> Floats:
    """(L_max + 0.05) / (L_min + 0.05), 1…21 (WCAG 2.2, "contrast ratio"); shapes (…, 3) broadcast."""
    first, second = relative_luminance(a), relative_luminance(b)
    return np.asarray((np.maximum(first, second) + 0.05) / (np.minimum(first, second) + 0.05))


def first_percentile(fill: Rgb, pixels: ArrayLike) -> float:
    """The contrast that 99 % of the pixels (shape (n, 3)) reach against `fill`; 21 when there are none."""
    ratios = contrast_ratio(fill, pixels)
    return float(np.percentile(ratios, 1, method="lower")) if ratios.size else 21.0


def is_large_text(font_size_px: float, bold: bool, size: Size) -> bool:
    """Whether the type is at least 18 pt (24 px), or 14 pt bold (18.66 px), as a phone shows the ad (WCAG 1.4.3)."""
    seen_px = font_size_px * min(1.0, VIEWED_WIDTH_PX / size.width_px)
    return seen_px >= (56 / 3 if bold else 24.0)


def needed(large_text: bool) -> Needed:
    """The least ratios of WCAG 1.4.3 (AA) and 1.4.6 (AAA)."""
    return Needed(aa=3.0, aaa=4.5) if large_text else Needed(aa=4.5, aaa=7.0)
