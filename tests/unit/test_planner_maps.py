"""What the planner's maps say of pictures whose contents are known, cell by cell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.imaging.arrays import Picture
from stages.placement.importance import Grid, box_cells, box_shares, grid_of, mask_cells, mask_shares
from stages.placement.maps import placement_maps
from stages.values import Rect, Size
from testing.pictures import flat, found_in, noise, thing

# 96 × 96 cells of ten pixels.
SIDE_PX = 960
DISH = thing(0.25, 0.375, 0.375, 0.25)


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_cells_are_nearly_square_and_96_along_the_longer_side(width_px: int, height_px: int) -> None:
    columns, rows = grid_of(Size(width_px=width_px, height_px=height_px))
    longer = max(width_px, height_px)
    assert max(columns, rows) == min(96, longer)
    shorter = min(width_px, height_px)
    assert min(columns, rows) == max(1, round(shorter / max(1.0, longer / 96)))
    assert (columns >= rows) is (width_px >= height_px) or abs(width_px - height_px) * 96 <= longer


@given(st.floats(0, 0.8), st.floats(0, 0.8), st.floats(0.01, 0.2), st.floats(0.01, 0.2), st.floats(0, 0.1))
def test_a_box_touches_the_cells_it_has_a_share_of_and_its_margin_is_of_the_longer_side(
    x: float, y: float, width: float, height: float, margin: float
) -> None:
    grid = Grid(columns=48, rows=24)
    box = Rect(x=x, y=y, width=width, height=height)
    touched = np.zeros((24, 48), dtype=bool)
    touched[box_cells(box, grid, 0.0)] = True
    assert touched[box_shares(box, grid) > 1e-4].all()
    assert not touched[box_shares(box, grid) == 0.0].any()
    ys, xs = np.nonzero(touched)
    cells = round(margin * 48)
    rows, columns = box_cells(box, grid, margin)
    assert (rows.start, columns.start) == (max(0, ys.min() - cells), max(0, xs.min() - cells))
    assert (rows.stop, columns.stop) == (min(24, ys.max() + 1 + cells), min(48, xs.max() + 1 + cells))


@given(st.integers(10, 60), st.integers(10, 60), st.integers(0, 2**32 - 1))
def test_a_cell_is_kept_clear_when_any_of_its_pixels_is(height: int, width: int, seed: int) -> None:
    mask = (np.random.default_rng(seed).random((height, width)) < 0.05).astype(np.uint8) * 255
    grid = Grid(columns=10, rows=8)
    assert (mask_cells(mask, grid) == (mask_shares(mask, grid) > 0)).all()


def test_on_an_object_importance_is_one_where_it_is_salient_and_no_less_than_five_sixths() -> None:
    image = flat(SIDE_PX, SIDE_PX)
    image[360:600, 240:600] = noise(360, 240)
    placement = placement_maps(image, *found_in(image, [DISH]))
    inside = placement.importance[37:59, 25:59]
    saliency = placement.maps.saliency[37:59, 25:59]
    assert inside == pytest.approx(0.85 + 0.15 * saliency)
    assert inside.max() == pytest.approx(1.0)


def test_beside_an_object_importance_is_three_tenths_of_that_and_far_away_nothing() -> None:
    image = flat(SIDE_PX, SIDE_PX)
    placement = placement_maps(image, *found_in(image, [DISH]))
    # The mask keeps one cell beside the box clear.
    beside, saliency = placement.importance[48, 23], placement.maps.saliency[48, 23]
    assert beside == pytest.approx(0.3 * (0.85 + 0.15 * saliency))
    assert placement.importance[48, 20] == 0.0


def test_where_only_a_mask_is_known_it_matters_as_an_object_does() -> None:
    image = flat(SIDE_PX, SIDE_PX)
    detections, mask = found_in(image)
    mask[300:600, 300:600] = 255
    placement = placement_maps(image, detections, mask)
    assert placement.importance[45, 45] >= 0.85
    assert placement.harm.sum() == pytest.approx(1.0)
    assert placement.harm[45, 45] == pytest.approx(1 / 900)
    assert placement.subject == pytest.approx((0.46875, 0.46875))


def test_the_harm_of_an_object_is_its_weight_and_falls_from_top_to_bottom() -> None:
    image = flat(SIDE_PX, SIDE_PX)
    heavy = DISH.model_copy(update={"weight": 3.0})
    harm = placement_maps(image, *found_in(image, [heavy])).harm
    assert harm.sum() == pytest.approx(3.0)
    by_row = harm[36:60].sum(axis=1)
    assert (np.diff(by_row) < 0).all()
    assert by_row[0] / by_row[-1] == pytest.approx(1.6 / 0.4)
    assert harm[:36].sum() == harm[60:].sum() == 0.0


def test_what_the_mask_of_an_object_leaves_free_is_hardly_harmed() -> None:
    image = flat(SIDE_PX, SIDE_PX)
    detections, mask = found_in(image, [DISH])
    mask[:, :420] = 0
    harm = placement_maps(image, detections, mask).harm
    assert harm[48, 30] / harm[48, 50] == pytest.approx(0.05)


def test_what_differs_from_the_border_is_salient_wherever_it_lies() -> None:
    for left, top in ((100, 100), (600, 300)):
        image = flat(SIDE_PX, SIDE_PX, (200, 200, 200))
        image[top : top + 200, left : left + 200] = (200, 60, 20)
        saliency = placement_maps(image, *found_in(image)).maps.saliency
        inside = saliency[top // 10 + 3 : top // 10 + 17, left // 10 + 3 : left // 10 + 17]
        assert inside.min() > 0.4
        assert saliency[:, 70 if left == 100 else 20].max() < 0.15


def stripes(levels: int) -> Picture:
    """Bands of 40 px, in which a step of so many levels lies between one and the next."""
    bands = (np.arange(SIDE_PX) // 40 % 2 * levels + 100).astype(np.uint8)
    return np.repeat(np.repeat(bands[:, None, None], SIDE_PX, axis=1), 3, axis=2)


def test_edges_grow_with_their_contrast_up_to_one() -> None:
    none, weak, strong = (
        placement_maps(stripes(levels), *found_in(stripes(levels))).maps.edges.mean() for levels in (0, 20, 120)
    )
    assert none == 0.0
    # Bands twice as strong have edges twice as strong, until they are as busy as text.
    middle = placement_maps(stripes(40), *found_in(stripes(40))).maps.edges.mean()
    assert middle == pytest.approx(2 * weak, rel=0.02)
    assert weak < middle < strong
    assert placement_maps(noise(SIDE_PX, SIDE_PX), *found_in(flat(SIDE_PX, SIDE_PX))).maps.edges.max() <= 1.0


def test_luminance_weighs_the_colours_as_the_eye_does() -> None:
    for color, expected in (((255, 0, 0), 0.2126), ((0, 255, 0), 0.7152), ((0, 0, 255), 0.0722)):
        luminance = placement_maps(flat(96, 96, color), *found_in(flat(96, 96))).maps.luminance
        assert luminance == pytest.approx(np.full((96, 96), expected))


def test_what_only_the_mask_knows_matters_fully_unless_it_lies_beside_an_object() -> None:
    image = flat(SIDE_PX, SIDE_PX)
    detections, mask = found_in(image, [DISH])
    mask[750:850, 700:800] = 255
    assert placement_maps(image, detections, mask).importance[80, 75] >= 0.85
