"""The planner's maps, on a coarse grid: which cells are forbidden, and how important and how busy each one is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stages.imaging.arrays import Bits, Floats, Mask, Picture
from stages.imaging.geometry import size_of
from stages.placement.importance import Grid, Maps, box_cells, box_shares, grid_of, maps, mask_cells, mask_shares
from stages.values import OBJECT_MARGIN, DetectedObject, Detections

_BESIDE = 0.3
"""Importance of the margin that is kept clear around an object; the object itself has 1."""

_UNSALIENT = 0.85
"""Importance of an object's least salient cell; the most salient one has 1."""

_OUTSIDE_MASK = 0.05
"""Weight of a cell in an object's box but outside its mask; a cell in the mask has 1."""


class PlacementMaps(NamedTuple):
    """What the search needs to know of each cell, and the (x, y) centre of the `subject`, 0…1.

    The mean of `importance` (0…1) over a region is the share of the region that lies on objects. The sum of `harm` over
    a region is the share of the objects that the region covers, each object counted by its weight.
    """

    grid: Grid
    forbidden: Bits
    importance: Floats
    harm: Floats
    maps: Maps
    subject: tuple[float, float]


def placement_maps(image: Picture, detections: Detections, mask: Mask) -> PlacementMaps:
    """`image` (height, width, 3) uint8 RGB, `mask` (height, width) uint8, non-zero = keep clear, of the same size."""
    grid = grid_of(size_of(image))
    forbidden = mask_cells(mask, grid)
    for found in detections.objects:
        forbidden[box_cells(found.box, grid, OBJECT_MARGIN)] = True
    seen, kept_clear = maps(image, grid), mask_shares(mask, grid)
    importance = _importance(detections, kept_clear, grid) * (_UNSALIENT + (1 - _UNSALIENT) * seen.saliency)
    shown = forbidden.astype(float) if forbidden.any() else seen.saliency
    return PlacementMaps(grid, forbidden, importance, _harm(detections, kept_clear, grid), seen, _centre(shown, grid))


def _importance(detections: Detections, kept_clear: Floats, grid: Grid) -> Floats:
    """1 on objects; less in the corners of a box outside its mask, and in the margin around an object."""
    boxes, near = np.zeros_like(kept_clear), np.zeros_like(kept_clear)
    for found in detections.objects:
        boxes = np.maximum(boxes, box_shares(found.box, grid))
        near[box_cells(found.box, grid, 2 * OBJECT_MARGIN)] = 1.0
    inside = kept_clear * np.where(near > 0, boxes, 1.0)
    return np.maximum(inside, _BESIDE * np.maximum(boxes, kept_clear))


def _harm(detections: Detections, kept_clear: Floats, grid: Grid) -> Floats:
    harm = np.zeros_like(kept_clear)
    for found in detections.objects:
        box = box_cells(found.box, grid, 0.0)
        harm[box] += _over_object(found, kept_clear[box])
    if not detections.objects and kept_clear.any():
        harm = kept_clear / kept_clear.sum()
    return harm


def _over_object(found: DetectedObject, kept_clear: Floats) -> Floats:
    """The object's weight, spread over its cells; more in the upper half, where faces, fillings and labels are."""
    by_row = np.linspace(1.6, 0.4, len(kept_clear))[:, None]
    shown = by_row * np.maximum(kept_clear, _OUTSIDE_MASK)
    return np.asarray(found.weight * shown / shown.sum())


def _centre(shown: Floats, grid: Grid) -> tuple[float, float]:
    total = float(shown.sum())
    if total == 0.0:
        return 0.5, 0.5
    across, down = shown.sum(axis=0) @ np.arange(grid.columns), shown.sum(axis=1) @ np.arange(grid.rows)
    return (float(across) / total + 0.5) / grid.columns, (float(down) / total + 0.5) / grid.rows
