"""How important and how busy each place of a picture is, on a coarse grid and without a model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stages.imaging.arrays import Bits, Floats, Mask, Picture
from stages.imaging.filters import box_mean, gradient
from stages.imaging.geometry import outer_corners
from stages.imaging.resizing import area_means
from stages.imaging.spectral import spectral_residual
from stages.values import Rect, Size

GRID_LONG_SIDE = 96
_PIXELS_PER_CELL = 4
_LEAST_AMPLITUDE = 1e-9


class Grid(NamedTuple):
    columns: int
    rows: int


class Maps(NamedTuple):
    """Per cell, 0…1, shape (rows, columns): saliency, edge density (1 = as busy as text), luminance."""

    saliency: Floats
    edges: Floats
    luminance: Floats


def grid_of(size: Size) -> Grid:
    """About square cells, 96 along the longer side (fewer where the picture has fewer pixels)."""
    cell = max(1.0, max(size.width_px, size.height_px) / GRID_LONG_SIDE)
    return Grid(max(1, round(size.width_px / cell)), max(1, round(size.height_px / cell)))


def maps(image: Picture, grid: Grid) -> Maps:
    """Saliency, edges and luminance of a picture of shape (height, width, 3), uint8 RGB."""
    small = area_means(image, grid.columns * _PIXELS_PER_CELL, grid.rows * _PIXELS_PER_CELL) / 255.0
    grey = small @ np.array([0.2126, 0.7152, 0.0722])
    edges = np.minimum(1.0, per_cell(gradient(grey), grid) / 0.12)
    return Maps(saliency=saliency(small, grid), edges=edges, luminance=per_cell(grey, grid))


def saliency(picture: Floats, grid: Grid) -> Floats:
    """The mean of the spectral residual and the colour distance from the picture's border.

    `picture` is (4 · rows, 4 · columns, 3) in 0…1; the result is (rows, columns) in 0…1.
    """
    cells = np.stack([per_cell(picture[..., channel], grid) for channel in range(3)], axis=-1)
    strange = spectral_residual(cells.mean(axis=-1), _neighbourhood_mean, _LEAST_AMPLITUDE)
    border = np.concatenate([cells[0], cells[-1], cells[:, 0], cells[:, -1]])
    apart = np.linalg.norm(cells - np.median(border, axis=0), axis=-1)
    return to_unit_range(0.5 * to_unit_range(box_mean(strange, 2)) + 0.5 * to_unit_range(box_mean(apart, 1)))


def _neighbourhood_mean(values: Floats) -> Floats:
    return box_mean(values, 1)


def per_cell(values: Floats, grid: Grid) -> Floats:
    """Means over the cells of a fine map of shape (4 · rows, 4 · columns)."""
    blocks = values.reshape(grid.rows, _PIXELS_PER_CELL, grid.columns, _PIXELS_PER_CELL)
    return np.asarray(blocks.mean(axis=(1, 3)))


def to_unit_range(values: Floats) -> Floats:
    """Scaled to 0…1. The top two percent all become 1, so that one bright spot does not darken the rest."""
    low, high = float(values.min()), float(np.percentile(values, 98))
    return np.clip((values - low) / (high - low), 0.0, 1.0) if high - low > 1e-6 else np.zeros_like(values)


def mask_cells(mask: Mask, grid: Grid) -> Bits:
    """The cells that any kept-clear pixel (non-zero) of the mask touches."""
    height, width = mask.shape
    by_row = np.maximum.reduceat(mask, np.arange(grid.rows) * height // grid.rows, axis=0)
    return np.maximum.reduceat(by_row, np.arange(grid.columns) * width // grid.columns, axis=1) > 0


def box_cells(box: Rect, grid: Grid, margin: float) -> tuple[slice, slice]:
    """Rows and columns of the cells a box touches, grown by `margin` (a fraction of the longer side)."""
    size = Size(width_px=grid.columns, height_px=grid.rows)
    left, top, right, bottom = outer_corners(box, size, round(margin * max(grid)))
    return slice(top, bottom), slice(left, right)


def mask_shares(mask: Mask, grid: Grid) -> Floats:
    """Of each cell the share of its pixels that the mask keeps clear, 0…1."""
    height, width = mask.shape
    tops, lefts = np.arange(grid.rows) * height // grid.rows, np.arange(grid.columns) * width // grid.columns
    counts = np.add.reduceat(np.add.reduceat(mask > 0, tops, axis=0, dtype=np.int64), lefts, axis=1)
    return np.asarray(counts / np.outer(np.diff([*tops, height]), np.diff([*lefts, width])))


def box_shares(box: Rect, grid: Grid) -> Floats:
    """Of each cell the share that lies in the box, 0…1."""
    across, down = (
        np.clip(np.minimum(np.arange(n) + 1, end * n) - np.maximum(np.arange(n), start * n), 0.0, 1.0)
        for n, start, end in ((grid.columns, box.x, box.right), (grid.rows, box.y, box.bottom))
    )
    return np.outer(down, across)
