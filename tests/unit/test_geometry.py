"""Rectangles: what two of them have in common."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.imaging.geometry import (
    Corners,
    area,
    common,
    enclosing,
    grown,
    inner_corners,
    intersection,
    iou,
    outer_corners,
    overlap_area,
)
from stages.values import Rect, Size

SIDES = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20), st.integers(1, 20))
BOXES = SIDES.map(lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3]))


def pixels(box: Corners) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}


@given(BOXES, BOXES)
def test_overlap_and_iou_are_those_of_the_pixels(one: Corners, other: Corners) -> None:
    both, either = pixels(one) & pixels(other), pixels(one) | pixels(other)
    assert overlap_area(one, other) == len(both)
    assert iou(one, other) == pytest.approx(len(both) / len(either))
    assert area(one) == len(pixels(one))


@given(BOXES, st.lists(BOXES, min_size=1, max_size=5))
def test_many_boxes_at_once_give_what_each_gives(one: Corners, others: list[Corners]) -> None:
    assert iou(np.array(others), one).tolist() == [float(iou(other, one)) for other in others]


def test_boxes_that_are_apart_have_nothing_in_common_but_a_gap() -> None:
    left, _, right, _ = common((0, 0, 10, 10), (14, 2, 20, 8)).tolist()
    assert right - left == -4
    assert overlap_area((0, 0, 10, 10), (14, 2, 20, 8)) == 0


@given(st.lists(BOXES, min_size=1, max_size=4))
def test_the_enclosing_box_holds_all_and_touches_each_side(boxes: list[Corners]) -> None:
    around = enclosing(boxes)
    assert set().union(*map(pixels, boxes)) <= pixels(around)
    assert all(any(box[side] == around[side] for box in boxes) for side in range(4))


def test_a_box_grows_to_each_side_and_not_beyond_the_picture() -> None:
    size = Size(width_px=30, height_px=20)
    assert grown((10, 10, 12, 12), 3, size) == (7, 7, 15, 15)
    assert grown((1, 2, 29, 18), 3, size) == (0, 0, 30, 20)


@given(BOXES)
def test_whole_pixels_survive_the_way_through_fractions(box: Corners) -> None:
    size = Size(width_px=41, height_px=43)
    rect = Rect.from_corners_px(*box, size)
    assert inner_corners(rect, size) == outer_corners(rect, size) == box


def test_rectangles_that_only_touch_have_no_common_rectangle() -> None:
    left, right = Rect(x=0, y=0, width=0.5, height=1), Rect(x=0.5, y=0, width=0.5, height=1)
    assert intersection(left, right) is None
    assert intersection(left, Rect(x=0.25, y=0.5, width=0.5, height=0.5)) == Rect(x=0.25, y=0.5, width=0.25, height=0.5)
