"""Sets of pixels: their bounds, and the sets grown from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.imaging.arrays import Bits
from stages.imaging.geometry import Corners


def bounds(bits: NDArray[np.generic]) -> Corners | None:
    """(left, top, right, bottom) of the non-zero pixels, right and bottom exclusive; None without any."""
    rows, columns = np.flatnonzero(bits.any(axis=1)), np.flatnonzero(bits.any(axis=0))
    if rows.size == 0:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def grow(bits: Bits, radius_px: int) -> Bits:
    """All pixels within `radius_px` (Euclidean) of a set pixel."""
    grown = bits.copy()
    height, width = bits.shape
    # Nothing grows by more than the picture is high or wide.
    highest = min(radius_px, height - 1)
    for dy in range(-highest, highest + 1):
        reach = min(int((radius_px**2 - dy**2) ** 0.5), width - 1)
        for dx in range(-reach, reach + 1):
            source = bits[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
            grown[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)] |= source
    return grown


def ring(bits: Bits, radius_px: int) -> Bits:
    """The pixels next to a set: within `radius_px` of it, outside it."""
    return grow(bits, radius_px) & ~bits


def widen(bits: Bits, margin_px: int) -> Bits:
    """The set grown by a square of `margin_px` to each side, one axis after the other."""
    for axis in (0, 1):
        counts = np.cumsum(
            np.pad(bits, [(margin_px + 1, margin_px) if a == axis else (0, 0) for a in (0, 1)]), axis=axis
        )
        window, length = 2 * margin_px + 1, bits.shape[axis]
        ends = np.take(counts, np.arange(window, window + length), axis=axis)
        bits = ends > np.take(counts, np.arange(length), axis=axis)
    return bits
