"""Where the ink of a line is: its crop, and the map of its glyphs made from the known text colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resources.images import Pixels
from variant_assets.stages.values import Rect, Rgb, Size

Map = NDArray[np.float32]

# All tuned on lines of Nanum Square and Nanum Gothic, 24 to 96 px, on panels, photographs and with strokes.
MARGIN_PX = 4
NEIGHBOURHOOD = 0.12  # of the line's height: about a stroke's width, so an outline is seen as the background
FLOOR = 0.35  # of the usual distance from the text colour: less is background too like the text to stretch
LEAST_CONTRAST = 40.0
GAIN, GAMMA = 1.4, 0.7
INK_BELOW = 0.5
SURE_INK_PX = 24.0  # distance in RGB under which a pixel has the text colour itself


def box_px(image: Pixels, box: Rect) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the box, grown to whole pixels and at least one of them."""
    height, width = image.shape[:2]
    left, top, right, bottom = box.corners_px(Size(width_px=width, height_px=height))
    x0, y0 = min(int(left), width - 1), min(int(top), height - 1)
    return x0, y0, max(x0 + 1, int(np.ceil(right - 1e-6))), max(y0 + 1, int(np.ceil(bottom - 1e-6)))


def crop(image: Pixels, corners_px: tuple[int, int, int, int], padding_px: int) -> Pixels:
    """That part of the picture with a margin; beyond the picture's edge its last pixels are repeated."""
    left, top, right, bottom = corners_px
    rows = np.clip(np.arange(top - padding_px, bottom + padding_px), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left - padding_px, right + padding_px), 0, image.shape[1] - 1)
    return image[rows[:, None], columns[None, :]]


def ink_map(
    image: Pixels, corners_px: tuple[int, int, int, int], fill: Rgb, margin_px: int = MARGIN_PX
) -> Map:
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
