"""The planner's maps: shares of cells, importance, harm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.placement.importance import Grid, box_shares, mask_shares
from stages.placement.maps import placement_maps
from stages.values import Rect
from testing.pictures import flat, found_in, thing

GRID = Grid(columns=24, rows=16)


@given(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.01, 0.1), st.floats(0.01, 0.1))
def test_the_shares_of_a_box_sum_to_its_area(x: float, y: float, width: float, height: float) -> None:
    box = Rect(x=x, y=y, width=width, height=height)
    assert box_shares(box, GRID).sum() / (24 * 16) == pytest.approx(box.area)


@given(st.integers(16, 70), st.integers(24, 90), st.integers(0, 2**32 - 1))
def test_the_shares_of_a_mask_are_those_of_its_pixels(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 2, (height, width)).astype(np.uint8) * 255
    shares = mask_shares(mask, GRID)
    row, column = seed % 16, seed % 24
    cell = mask[
        row * height // 16 : (row + 1) * height // 16,
        column * width // 24 : (column + 1) * width // 24,
    ]
    assert shares[row, column] == pytest.approx((cell > 0).mean())


def test_harm_is_the_share_of_each_object_and_its_upper_half_counts_more() -> None:
    image = flat(960, 960)
    placement = placement_maps(image, *found_in(image, [thing(0.1, 0.1, 0.3, 0.3), thing(0.6, 0.5, 0.3, 0.4)]))
    assert placement.harm.sum() == pytest.approx(2.0)
    assert placement.harm[:24, :48].sum() > placement.harm[24:48, :48].sum()


def test_beside_an_object_a_place_matters_less_than_on_it_and_far_away_not_at_all() -> None:
    image = flat(960, 960)
    importance = placement_maps(image, *found_in(image, [thing(0.25, 0.25, 0.5, 0.5)])).importance
    on_it, beside, far = importance[48, 48], importance[23, 48], importance[10, 48]
    assert on_it > beside > far == 0.0


def test_the_corner_of_a_box_that_its_mask_leaves_free_matters_less_than_the_object() -> None:
    image = flat(960, 960)
    detections, mask = found_in(image, [thing(0.25, 0.25, 0.5, 0.5)])
    y, x = np.mgrid[:960, :960]
    disc = np.where(np.hypot(x - 480, y - 480) < 240, mask, 0).astype(np.uint8)
    importance = placement_maps(image, detections, disc).importance
    assert 0.0 < importance[26, 26] < importance[48, 48]
