"""Filters over maps of numbers, in float64 and without a library, so that every machine gets the same plan."""

from __future__ import annotations

import numpy as np

from stages.imaging.arrays import Floats


def box_mean(values: Floats, radius: int) -> Floats:
    """The mean over (2 · radius + 1)² around each entry, with mirrored borders."""
    padded = np.pad(values, radius, mode="symmetric")
    window = 2 * radius + 1
    rows = np.lib.stride_tricks.sliding_window_view(padded, window, axis=0).mean(axis=-1)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(rows, window, axis=1).mean(axis=-1))


def gradient(grey: Floats) -> Floats:
    """√((Gx² + Gy²) / 2) with Sobel kernels of unit weight; shape of `grey`."""
    padded = np.pad(grey, 1, mode="edge")
    along_y = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    along_x = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    gx, gy = along_y[:, 2:] - along_y[:, :-2], along_x[2:] - along_x[:-2]
    return np.asarray(np.sqrt((gx**2 + gy**2) / 2) / 4)
