"""Rectangles: their pixels, what two of them have in common, and the area of many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.imaging.arrays import Picture
from stages.values import Rect, Size, StageError

Corners = tuple[int, int, int, int]
"""(left, top, right, bottom) in px; right and bottom are exclusive."""


def size_of(image: Picture) -> Size:
    """The size of a picture of shape (height, width, 3); the array is the truth, never a database row."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise StageError(
            f"a picture of shape {image.shape}, {image.dtype} came; stages take (height, width, 3) uint8 RGB"
        )
    return Size(width_px=image.shape[1], height_px=image.shape[0])


def inner_corners(rect: Rect, size: Size) -> Corners:
    """(left, top, right, bottom) of the whole pixels inside `rect`; right and bottom are exclusive."""
    left, top, right, bottom = rect.corners_px(size)
    # A rectangle made from whole pixels must give the same pixels back, so rounding errors are forgiven.
    return (
        int(np.ceil(left - 1e-6)),
        int(np.ceil(top - 1e-6)),
        min(size.width_px, int(np.floor(right + 1e-6))),
        min(size.height_px, int(np.floor(bottom + 1e-6))),
    )


def outer_corners(rect: Rect, size: Size, margin_px: int = 0) -> Corners:
    """(left, top, right, bottom) of all pixels `rect` touches, grown by the margin, clipped to the image."""
    left, top, right, bottom = rect.corners_px(size)
    touched = (
        int(np.floor(left + 1e-6)),
        int(np.floor(top + 1e-6)),
        int(np.ceil(right - 1e-6)),
        int(np.ceil(bottom - 1e-6)),
    )
    return grown(touched, margin_px, size)


def grown(corners: Corners, margin_px: int, size: Size) -> Corners:
    """The rectangle with so much more to each side, clipped to the image."""
    left, top, right, bottom = corners
    return (
        max(0, left - margin_px),
        max(0, top - margin_px),
        min(size.width_px, right + margin_px),
        min(size.height_px, bottom + margin_px),
    )


def enclosing(boxes: Iterable[Corners]) -> Corners:
    """The smallest rectangle around all of them."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def common(one: ArrayLike, other: ArrayLike) -> NDArray[Any]:
    """The corners of what both rectangles cover, in any unit; shapes (…, 4) broadcast.

    Where they are apart, right is less than left by the gap between them, or bottom less than top.
    """
    a, b = np.asarray(one), np.asarray(other)
    return np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1)


def area(corners: ArrayLike) -> NDArray[Any]:
    """Of rectangles of shape (…, 4); 0 where right is not beyond left or bottom not beyond top."""
    boxes = np.asarray(corners)
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def overlap_area(one: ArrayLike, other: ArrayLike) -> NDArray[Any]:
    """|A∩B| of corners of shape (…, 4)."""
    return area(common(one, other))


def iou(one: ArrayLike, other: ArrayLike) -> NDArray[Any]:
    """|A∩B| / |A∪B| of corners of shape (…, 4)."""
    both = overlap_area(one, other)
    return np.asarray(both / (area(one) + area(other) - both))


def union_area(rects: Sequence[Rect]) -> float:
    """Area of the union, in fractions of the image, exact by coordinate compression."""
    xs = sorted({edge for rect in rects for edge in (rect.x, rect.right)})
    ys = sorted({edge for rect in rects for edge in (rect.y, rect.bottom)})
    covered = np.zeros((max(0, len(ys) - 1), max(0, len(xs) - 1)), dtype=bool)
    for rect in rects:
        covered[ys.index(rect.y) : ys.index(rect.bottom), xs.index(rect.x) : xs.index(rect.right)] = True
    return float(np.diff(ys) @ covered @ np.diff(xs)) if covered.size else 0.0


def intersection(a: Rect, b: Rect) -> Rect | None:
    """The common rectangle, None when they share no area."""
    left, top, right, bottom = common(a.corners, b.corners).tolist()
    width, height = right - left, bottom - top
    return Rect(x=left, y=top, width=width, height=height) if width > 0 and height > 0 else None


def intersections(rects: Sequence[Rect], others: Sequence[Rect]) -> list[Rect]:
    """Every non-empty common rectangle of one of `rects` with one of `others`."""
    common = (intersection(rect, other) for rect in rects for other in others)
    return [rect for rect in common if rect is not None]
