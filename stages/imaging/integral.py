"""Summed-area tables: the sum over any rectangle in four look-ups (Crow, 1984)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.imaging.arrays import Floats


def integral(values: NDArray[np.generic]) -> Floats:
    """The table of `values`, one row and one column larger: entry (y, x) is the sum of all above and left of it."""
    table = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    table[1:, 1:] = values.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    return table


def window_sums(table: Floats, height: int, width: int) -> Floats:
    """Sums over every window of height × width cells; entry (y, x) has its top left corner there."""
    return table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]
