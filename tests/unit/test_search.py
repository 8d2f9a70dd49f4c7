"""The search for a place, against what a slow reader of the same maps would find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.imaging.arrays import Bits, Floats, Picture
from stages.imaging.filters import box_mean
from stages.placement.importance import Grid, grid_of, to_unit_range
from stages.placement.maps import PlacementMaps, placement_maps
from stages.placement.search import (
    COVERS,
    WEIGHTS,
    Candidates,
    SearchSpec,
    Shape,
    margins,
    search,
    shapes,
)
from stages.placement.search import _best_of_blocks as best_of_blocks
from stages.planner import plan
from stages.type.ad_copy import Parts, estimated_width_em, normalise_copy, split_copy
from stages.type.line_breaking import Level
from stages.type.setting import Estimate, TypeSizeRange, estimate, type_size_range
from stages.values import Rect, Size
from testing.pictures import analysis, flat, found_in, noise, planned, thing

ALLOWED = TypeSizeRange(smallest_px=20, largest_px=60)
SIZE = Size(width_px=480, height_px=320)
OBJECTS = (thing(0.55, 0.4, 0.3, 0.5), thing(0.1, 0.6, 0.15, 0.3))


def picture() -> Picture:
    """Busy on the right, calm on the left, darker towards the bottom."""
    image = flat(480, 320)
    image[:, 240:] = noise(240, 320)
    shade = np.linspace(1.0, 0.4, 320)[:, None, None]
    return np.asarray((image * shade).astype(np.uint8))


@pytest.fixture(scope="module")
def placement() -> PlacementMaps:
    image = picture()
    return placement_maps(image, *found_in(image, OBJECTS))


def over(table: Floats | Bits, region: Floats) -> Floats | Bits:
    x, y, width, height = (int(side) for side in region)
    return table[y : y + height, x : x + width]


SHAPES = (Shape(40, 10, 30, 1), Shape(30, 14, 60, 5), Shape(70, 8, 20, 2))
COVERING = SearchSpec(0.2, may_cover=True, safe_margin=0.03)


@pytest.fixture(scope="module")
def found(placement: PlacementMaps) -> Candidates:
    return search(placement, SHAPES, SIZE, ALLOWED, COVERING)


def test_every_figure_of_a_candidate_is_that_of_its_rectangle(placement: PlacementMaps, found: Candidates) -> None:
    near = box_mean(placement.forbidden.astype(float), 2)
    for row, region in enumerate(found.regions):
        shape = found.shapes[found.shape_index[row]]
        assert (region[2], region[3]) == (shape.columns, shape.rows)
        expected = {
            "size": (shape.font_size_px - 20) / 40,
            "few_lines": 1.0 - min(1.0, max(0, shape.lines - 3) / 5),
            "calm": 1.0 - over(placement.maps.edges, region).mean(),
            "empty": 1.0 - over(placement.maps.saliency, region).mean(),
            "uniform": 1.0 - min(1.0, over(placement.maps.luminance, region).std() / 0.25),
            "clearance": 1.0 - over(near, region).mean(),
            "on_objects": over(placement.importance, region).mean(),
            "of_objects": over(placement.harm, region).sum(),
        }
        measured = {name: found.reasons[name][row] for name in expected}
        assert measured == pytest.approx(expected, abs=1e-6)


def test_the_score_weighs_what_speaks_for_a_place_against_what_it_covers(found: Candidates) -> None:
    gains = sum(weight * found.reasons[name] for name, weight in WEIGHTS.items())
    losses = sum(weight * found.reasons[name] for name, weight in COVERS.items())
    assert found.score == pytest.approx(gains - losses)


def test_text_and_subject_balance_where_their_middle_is_the_middle_of_the_picture(
    placement: PlacementMaps, found: Candidates
) -> None:
    for region, balance in zip(found.regions, found.reasons["balance"], strict=True):
        centre = [(region[axis] + region[axis + 2] / 2) / placement.grid[axis] for axis in (0, 1)]
        middle = [(centre[axis] + placement.subject[axis]) / 2 for axis in (0, 1)]
        off = np.hypot(middle[0] - 0.5, middle[1] - 0.5)
        assert balance == pytest.approx(max(0.0, 1 - 2 * off))


def test_candidates_lie_inside_the_margins_and_only_free_ones_are_found_unless_text_may_cover(
    placement: PlacementMaps, found: Candidates
) -> None:
    free = search(placement, SHAPES, SIZE, ALLOWED, COVERING._replace(may_cover=False))
    across, down = margins(SIZE, placement.grid, 0.03)
    columns, rows = placement.grid
    for candidates in (found, free):
        x, y, width, height = candidates.regions.T
        assert x.min() >= across
        assert y.min() >= down
        assert (x + width).max() <= columns - across
        assert (y + height).max() <= rows - down
    assert not any(over(placement.forbidden, region).any() for region in free.regions)
    assert any(over(placement.forbidden, region).any() for region in found.regions)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_of_every_six_by_six_positions_the_best_is_kept_and_of_equals_the_first(
    height: int, width: int, seed: int
) -> None:
    score = np.random.default_rng(seed).integers(0, 9, (height, width)).astype(float)
    kept = set(zip(*(index.tolist() for index in best_of_blocks(score)), strict=True))
    expected = set()
    for top in range(0, height, 6):
        for left in range(0, width, 6):
            block = score[top : top + 6, left : left + 6]
            row, column = np.unravel_index(block.argmax(), block.shape)
            expected.add((top + int(row), left + int(column)))
    assert kept == expected


@pytest.mark.parametrize("columns", [30, 64, 72, 80])
def test_a_place_is_aligned_on_the_axis_or_narrow_on_a_margin_and_on_a_margin_or_third_in_height(columns: int) -> None:
    image = flat(960, 960)
    empty = placement_maps(image, *found_in(image))
    size = Size(width_px=960, height_px=960)
    spec = SearchSpec(0.2, safe_margin=0.05, may_cover=True)
    (margin, _), grid = margins(size, empty.grid, 0.05), empty.grid
    candidates = search(empty, [Shape(columns, 12, 30, 1)], size, ALLOWED, spec)
    for (x, y, *_), aligned in zip(candidates.regions, candidates.reasons["aligned"], strict=True):
        across = abs(x + columns / 2 - 48)
        if columns < 0.68 * 96:
            across = min(across, abs(x - margin), abs(96 - margin - x - columns))
        thirds = min(abs(y + 6 - 32), abs(y + 6 - 64)) + 0.02 * 96
        down = min(abs(y - margin), abs(96 - margin - y - 12), thirds)
        assert aligned == pytest.approx(1 - min(1.0, (across + down) / 96 / 0.12))
    assert grid == Grid(96, 96)


@given(st.integers(8, 3000), st.integers(8, 3000), st.floats(0.0, 0.12))
def test_margins_are_the_fewest_whole_cells_that_are_wide_enough_and_leave_something(
    width_px: int, height_px: int, share: float
) -> None:
    size = Size(width_px=width_px, height_px=height_px)
    grid = grid_of(size)
    wanted_px = share * min(width_px, height_px)
    for cells, count, side_px in zip(margins(size, grid, share), grid, (width_px, height_px), strict=True):
        cell_px = side_px / count
        assert count - 2 * cells >= 1
        if cells < (count - 1) // 2:
            assert cells * cell_px >= wanted_px - 1e-6
        assert (cells - 1) * cell_px < wanted_px + 1e-6


COPIES = st.sampled_from(
    ["할인", "겨울 딸기. 오늘만 만 원!", "매일 아침 갓 구운 빵과 신선한 재료로 만든 샌드위치, 커피 한 잔"]
)


def estimated(parts: Parts, level: Level, shape: Shape, width_px: float, allowed: TypeSizeRange) -> Estimate | None:
    def em(text: str) -> float:
        return sum(map(estimated_width_em, text))

    return estimate(parts, level, shape.font_size_px, width_px, (em, em), allowed)


@settings(max_examples=40, deadline=None)
@given(COPIES, st.integers(300, 1500), st.integers(300, 1500), st.floats(0.2, 0.5), st.booleans())
def test_every_shape_holds_the_copy_with_a_little_room_and_no_row_more(
    copy: str, width_px: int, height_px: int, narrowest: float, inset: bool
) -> None:
    size = Size(width_px=width_px, height_px=height_px)
    grid, allowed = grid_of(size), type_size_range(size, "large")
    spec = SearchSpec(narrowest, lowest=0.09, inset=0.025 if inset else 0.0)
    parts = split_copy(normalise_copy(copy))
    cell_x, cell_y = width_px / grid.columns, height_px / grid.rows
    around_px = 2 * spec.inset * min(width_px, height_px)
    for shape in shapes(parts, size, grid, allowed, spec):
        across, down = margins(size, grid, spec.safe_margin)
        assert narrowest * grid.columns - 1e-6 <= shape.columns <= grid.columns - 2 * across
        assert shape.rows <= grid.rows - 2 * down
        assert allowed.smallest_px <= shape.font_size_px <= allowed.largest_px
        heights = [
            block.height_px
            for setting in (parts, parts.as_one)
            for level in Level
            if (block := estimated(setting, level, shape, shape.columns * cell_x - around_px, allowed)) is not None
            and block.lines == shape.lines
        ]
        assert any(height * 1.05 + around_px <= shape.rows * cell_y + 1e-6 for height in heights)
        least = int(np.ceil(0.09 * grid.rows - 1e-9))
        assert shape.rows == least or any(
            height * 1.05 + around_px > (shape.rows - 1) * cell_y - 1e-6 for height in heights
        )


def test_over_objects_type_stays_larger_than_the_smallest_where_it_can() -> None:
    size = Size(width_px=1080, height_px=1080)
    parts, allowed = split_copy(normalise_copy("겨울 딸기 케이크 예약 시작")), type_size_range(size, "large")
    spec = SearchSpec(0.3, lowest=0.03)
    anywhere = {shape.font_size_px for shape in shapes(parts, size, grid_of(size), allowed, spec)}
    over_objects = shapes(parts, size, grid_of(size), allowed, spec._replace(may_cover=True))
    assert min(anywhere) == allowed.smallest_px
    assert min(shape.font_size_px for shape in over_objects) >= 1.2 * allowed.smallest_px
    assert len({shape.columns for shape in over_objects}) > 1


def test_a_candidate_in_cells_is_a_rectangle_in_fractions_of_width_and_height(found: Candidates) -> None:
    grid = Grid(columns=96, rows=64)
    for row, (x, y, width, height) in enumerate(found.regions):
        expected = Rect(x=x / 96, y=y / 64, width=width / 96, height=height / 64)
        assert found.rect(row, grid) == expected


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=40), st.floats(-3, 3), st.floats(0.1, 10))
def test_the_unit_range_keeps_the_order_and_forgets_offset_and_scale(
    values: list[float], offset: float, scale: float
) -> None:
    given_values = np.array(values)
    found = to_unit_range(given_values)
    assert found.min() >= 0.0
    assert found.max() <= 1.0
    if np.percentile(given_values, 98) - given_values.min() > 1e-3:
        assert found[given_values.argmin()] == 0.0
        assert found[given_values.argmax()] == 1.0
        assert to_unit_range(given_values * scale + offset) == pytest.approx(found, abs=1e-6)


def test_the_subject_is_the_middle_of_what_is_forbidden_and_else_the_middle_of_the_picture() -> None:
    image = flat(960, 480)
    one = placement_maps(image, *found_in(image, [thing(0.2, 0.5, 0.2, 0.25)]))
    assert one.subject == pytest.approx((0.3, 0.625), abs=0.01)
    assert placement_maps(image, *found_in(image)).subject == pytest.approx((0.5, 0.5), abs=0.02)


def test_regions_proposed_together_are_different_ideas() -> None:
    for objects in ([], [thing(0.3, 0.5, 0.4, 0.4)]):
        regions = [proposal.region for proposal in planned(flat(960, 960), objects, "오늘의 커피").proposals]
        assert len(regions) >= 3
        for number, one in enumerate(regions):
            for other in regions[number + 1 :]:
                across = min(one.right, other.right) - max(one.x, other.x)
                down = min(one.bottom, other.bottom) - max(one.y, other.y)
                both = max(0.0, across) * max(0.0, down)
                assert both / (one.area + other.area - both) <= 0.4 + 1e-9


def test_proposals_are_ranked_and_each_adds_up_to_its_score() -> None:
    proposals = plan(picture(), *found_in(picture(), OBJECTS), analysis(), "겨울 딸기").proposals
    scores = [proposal.score for proposal in proposals if proposal.source == proposals[0].source]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) > 1
    for proposal in proposals:
        if proposal.reasons:
            assert sum(proposal.reasons.values()) == pytest.approx(proposal.score, abs=0.001)
