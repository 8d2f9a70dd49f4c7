"""Where the ink of a line is: its crop, and the map of its glyphs made from the known text colour."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.imaging.arrays import Picture
from stages.values import Rgb

Map = NDArray[np.float32]
Corners = tuple[int, int, int, int]  # left, top, right, bottom

# All tuned on lines of Nanum Square and Nanum Gothic, 24 to 96 px, on panels, photographs and with strokes.
MARGIN_PX = 4
NEIGHBOURHOOD = 0.12  # of the line's height: about a stroke's width, so an outline is seen as the background
FLOOR = 0.35  # of the usual distance from the text colour: less is background too like the text to stretch
LEAST_CONTRAST = 40.0
GAIN, GAMMA = 1.4, 0.7
INK_BELOW = 0.5
SURE_INK_PX = 24.0  # distance in RGB under which a pixel has the text colour itself


class InkRegion(NamedTuple):
    """Where the ink of a line is in the picture, and its map with MARGIN_PX around it: 0 ink, 1 none."""

    corners_px: Corners
    map: Map

    @property
    def height_px(self) -> int:
        return self.corners_px[3] - self.corners_px[1]


def find_ink(image: Picture, corners_px: Corners, fill: Rgb) -> InkRegion | None:
    """The ink of this colour within the corners; None if there is none."""
    ink = ink_map(image, corners_px, fill)
    rows, columns = (np.flatnonzero((ink < INK_BELOW).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    (top, bottom), (left, right) = ((int(line[0]), int(line[-1]) + 1) for line in (rows, columns))
    x, y = corners_px[0] - MARGIN_PX, corners_px[1] - MARGIN_PX
    tight = np.pad(ink[top:bottom, left:right], MARGIN_PX, constant_values=1)
    return InkRegion((x + left, y + top, x + right, y + bottom), tight)


def crop(image: Picture, corners_px: Corners, padding_px: int) -> Picture:
    """That part of the picture with a margin; beyond the picture's edge its last pixels are repeated."""
    left, top, right, bottom = corners_px
    rows = np.clip(np.arange(top - padding_px, bottom + padding_px), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left - padding_px, right + padding_px), 0, image.shape[1] - 1)
    return image[rows[:, None], columns[None, :]]


def ink_map(image: Picture, corners_px: Corners, fill: Rgb, margin_px: int = MARGIN_PX) -> Map:
    """Float32 map of the line with a margin around it: 0 where there is ink of colour `fill`, 1 elsewhere.

    The distance from `fill` is measured against the farthest colour close by, so a pale background and a dark
    stroke both become 1. Spots that touch the margin's edge, or hold no pixel of the colour itself, are the
    picture's and not the text's.
    """
    import cv2

    part = crop(image, corners_px, margin_px).astype(np.float32)
    distance = np.sqrt(((part - np.asarray(fill, np.float32)) ** 2).sum(axis=2))
    height = corners_px[3] - corners_px[1]
    side = max(3, round(height * NEIGHBOURHOOD) | 1)
    far = cv2.blur(cv2.dilate(distance, np.ones((side, side), np.uint8)), (side, side))
    floor = max(float(np.percentile(distance, 75)) * FLOOR, LEAST_CONTRAST)
    shade = np.clip(distance / np.maximum(far, floor) * GAIN, 0, 1) ** GAMMA
    return np.where(_glyphs(shade, distance, height), shade, 1).astype(np.float32)


def _glyphs(shade: Map, distance: Map, height_px: int) -> NDArray[np.bool_]:
    """Where the text's own connected spots are, grown by one pixel to keep their soft edges."""
    import cv2

    count, labels = cv2.connectedComponents((shade < INK_BELOW).astype(np.uint8), connectivity=8)
    sure = np.bincount(labels.ravel(), weights=(distance < SURE_INK_PX).ravel(), minlength=count)
    keep = sure >= max(2.0, 0.002 * height_px**2)
    keep[np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))] = False
    keep[0] = False
    return cv2.dilate(keep[labels].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
