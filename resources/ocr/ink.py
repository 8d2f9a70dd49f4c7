"""A line cut out of its picture, and the map of its ink made from the known text colour."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.imaging.arrays import Picture
from stages.values import Rgb

# All tuned on lines of Nanum Square and Nanum Gothic, 24 to 96 px, on panels, photographs and with strokes.
MARGIN_PX = 4
NEIGHBOURHOOD = 0.12  # of the line's height: the farthest colour within it becomes 1, also that of an outline
LEAST_CONTRAST = 40.0  # distance in RGB: a background nearer to the text colour than this does not become 1
SURE_INK = 24.0  # distance in RGB: a pixel nearer to the text colour than this is ink
GAIN, GAMMA = 1.4, 0.7
NEAR = 0.33  # of the line's height: how near a space is to where Tesseract says a word begins, often too far right


class Line(NamedTuple):
    """A line with MARGIN_PX around it: its RGB picture and, of the same size, its map, 0 ink … 1 none."""

    picture: Picture
    map: NDArray[np.float32]

    @property
    def ink(self) -> NDArray[np.bool_]:
        return self.map < 0.5

    def cut(self, columns: Sequence[float]) -> list[Line]:
        """The pieces between cuts in the widest gap near each of these columns."""
        inked = np.array([0, *np.flatnonzero(self.ink.any(axis=0)), self.map.shape[1]])
        near = (np.abs((inked[1:] - column) / len(self.map) + NEAR / 2) < NEAR for column in columns)
        cuts = [int(np.argmax(np.where(begins, np.diff(inked), 0))) for begins in near]
        edges = [0, *(int(inked[cut] + inked[cut + 1] + 1) // 2 for cut in cuts), self.map.shape[1]]
        return [Line(self.picture[:, a:b], self.map[:, a:b]) for a, b in pairwise(edges)]


def cut_out(image: Picture, corners_px: tuple[int, int, int, int], fill: Rgb) -> Line:
    """The line within (left, top, right, bottom); beyond the picture's edge its last pixels are repeated."""
    import cv2

    left, top, right, bottom = corners_px
    rows = np.clip(np.arange(top - MARGIN_PX, bottom + MARGIN_PX), 0, image.shape[0] - 1)
    picture = image[rows][:, np.clip(np.arange(left - MARGIN_PX, right + MARGIN_PX), 0, image.shape[1] - 1)]
    distance = np.sqrt(((picture.astype(np.float32) - np.asarray(fill, np.float32)) ** 2).sum(axis=2))
    side = max(3, round((bottom - top) * NEIGHBOURHOOD) | 1)
    far = cv2.blur(cv2.dilate(distance, np.ones((side, side), np.uint8)), (side, side))
    shade = np.clip(distance / np.maximum(far, LEAST_CONTRAST) * GAIN, 0, 1) ** GAMMA
    # Spots that have no pixel of the text's own colour, or touch the edge, belong to the picture and not to the text.
    count, labels = cv2.connectedComponents((shade < 0.5).astype(np.uint8), connectivity=8)
    sure = np.bincount(labels.ravel(), weights=(distance < SURE_INK).ravel(), minlength=count)
    keep = sure >= max(2.0, 0.002 * (bottom - top) ** 2)
    keep[np.concatenate([[0], labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = False
    glyphs = cv2.dilate(keep[labels].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return Line(picture, np.where(glyphs, shade, 1).astype(np.float32))
