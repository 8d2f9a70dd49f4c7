import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.imaging.geometry import inner_corners, overlap_area
from stages.imaging.thumbnail import thumbnail
from stages.placement.plan_picture import planner_picture
from stages.planner import plan
from stages.values import DetectedObject, Detections, Plan, Size, StageError
from testing.pictures import COPY, MODEL, analysis, flat, found_in, noise, planned, thing

share = st.floats(0.0, 1.0)
objects = st.lists(
    st.builds(thing, st.floats(0, 0.8), st.floats(0, 0.8), st.floats(0.02, 0.6), st.floats(0.02, 0.6)),
    max_size=4,
)


def covered(plan_: Plan, found: DetectedObject) -> float:
    return float(overlap_area(plan_.region.corners, found.box.corners)) / found.box.area


def test_the_plan_avoids_the_objects_and_says_why_it_was_chosen() -> None:
    cup = thing(0.25, 0.35, 0.5, 0.6)
    result = planned(noise(800, 800), [cup])
    assert covered(result, cup) == 0.0
    assert not result.needs_panel
    assert "0% of it on objects" in result.proposals[0].words
    assert {"size", "calm", "empty"} <= set(result.proposals[0].reasons)


def test_two_variants_with_different_objects_get_different_plans() -> None:
    image = flat(800, 800)
    top, bottom = thing(0.1, 0.0, 0.8, 0.6), thing(0.1, 0.4, 0.8, 0.6)
    below, above = planned(image, [top]), planned(image, [bottom])
    assert covered(below, top) == covered(above, bottom) == 0.0
    assert below.region.y > 0.6
    assert above.region.bottom < 0.4


def test_the_mask_alone_keeps_the_text_away() -> None:
    image = flat(600, 600)
    detections, mask = found_in(image)
    mask = mask.copy()
    mask[200:, :] = 255
    result = plan(image, detections, mask, analysis(), "겨울 딸기 케이크")
    assert result.region.bottom <= 200 / 600
    assert result.proposals[0].occlusion == 0.0


def test_a_mask_of_another_picture_is_refused() -> None:
    image = flat(600, 400)
    detections, _ = found_in(image)
    with pytest.raises(StageError, match="forbidden mask has shape"):
        plan(image, detections, np.zeros((600, 400), dtype=np.uint8), analysis(), COPY)


def test_detections_of_another_picture_are_refused() -> None:
    image = flat(600, 400)
    _, mask = found_in(image)
    other = Detections(objects=(), size=Size(width_px=1024, height_px=1024), forbidden_share=0.0, model=MODEL)
    with pytest.raises(StageError, match="detections are for 1024 × 1024 px"):
        plan(image, other, mask, analysis(), COPY)


def test_a_grey_picture_without_channels_is_refused() -> None:
    image = flat(60, 40)
    detections, mask = found_in(image)
    with pytest.raises(StageError, match="RGB"):
        plan(image[..., 0], detections, mask, analysis(), COPY)


def test_no_copy_is_no_plan() -> None:
    with pytest.raises(StageError, match="no ad copy"):
        planned(flat(400, 400), copy="  ")


def test_without_objects_there_are_still_ranked_proposals() -> None:
    result = planned(noise(500, 500))
    scores = [proposal.score for proposal in result.proposals]
    assert 2 <= len(scores) <= 8
    assert scores == sorted(scores, reverse=True)
    assert not result.needs_panel


def test_without_a_free_strip_the_plan_says_so_and_needs_a_panel() -> None:
    result = planned(flat(800, 800), [thing(0.02, 0.02, 0.96, 0.96, label="pizza")])
    assert result.needs_panel
    assert "nothing large enough is free" in result.proposals[0].words


def test_where_everything_is_forbidden_the_least_harmful_place_is_planned() -> None:
    image = flat(700, 700)
    detections, mask = found_in(image)
    result = plan(image, detections, np.full_like(mask, 255), analysis(), COPY)
    assert result.needs_panel
    assert result.proposals[0].occlusion == 1.0


def test_between_two_objects_far_apart_the_text_finds_its_band() -> None:
    left, right = thing(0.02, 0.05, 0.25, 0.4), thing(0.7, 0.55, 0.28, 0.42)
    result = planned(flat(900, 900), [left, right])
    assert covered(result, left) == covered(result, right) == 0.0
    assert not result.needs_panel


def test_a_narrow_free_column_is_better_than_covering_the_dish() -> None:
    dish = thing(0.36, 0.0, 0.64, 1.0)
    result = planned(flat(900, 900), [dish], "겨울 딸기 케이크")
    assert covered(result, dish) == 0.0
    assert result.proposals[0].source == "narrow free region"
    assert not result.needs_panel


def test_nearer_to_the_edge_is_better_than_covering_the_dish_and_the_words_say_so() -> None:
    dish = thing(0.32, 0.0, 0.68, 1.0)
    result = planned(flat(900, 900), [dish], "겨울 딸기")
    chosen = result.proposals[0]
    assert chosen.source == "free region at the edge"
    assert covered(result, dish) == 0.0
    assert chosen.region.x < 0.055
    assert chosen.inset >= 0.02
    assert "nothing 0.5 × 0.12 is free" in chosen.words


def test_where_everything_is_covered_the_place_that_covers_least_is_taken_and_marked() -> None:
    dish = thing(0.06, 0.06, 0.88, 0.88)
    result = planned(flat(900, 900), [dish], "겨울 딸기")
    assert result.needs_panel
    assert result.proposals[0].source == "least harmful region"
    assert result.proposals[0].occlusion < 0.55
    assert covered(result, dish) < 0.02
    assert "nothing large enough is free" in result.proposals[0].words


def test_a_price_tag_in_the_corner_is_better_than_a_line_over_the_face() -> None:
    person = thing(0.0, 0.05, 0.8, 0.95)
    result = planned(flat(900, 900), [person], "겨울 딸기")
    assert covered(result, person) < 0.02
    assert result.region.x >= 0.7
    assert result.region.y < 0.05


def test_copy_of_two_sentences_may_become_one_line_where_only_a_low_strip_is_free() -> None:
    dish = thing(0.0, 0.11, 1.0, 0.89)
    result = planned(flat(1600, 900), [dish], "겨울 딸기. 오늘만 만 원!")
    assert covered(result, dish) == 0.0
    assert "1 line" in result.proposals[0].words


def test_calm_ground_is_preferred() -> None:
    image = noise(800, 800)
    image[500:] = 90
    assert planned(image, copy="오늘의 커피").region.y > 0.55


@settings(max_examples=30, deadline=None)
@given(objects, st.sampled_from([(512, 512), (300, 500), (640, 360)]))
def test_any_plan_lies_in_the_picture_and_covers_nothing_unless_it_says_so(
    found: list[DetectedObject], shape: tuple[int, int]
) -> None:
    image = flat(*shape)
    detections, mask = found_in(image, found)
    result = plan(image, detections, mask, analysis(), COPY)
    for proposal in result.proposals:
        left, top, right, bottom = inner_corners(proposal.region, result.size)
        inset_px = proposal.inset * min(shape)
        assert 0 < left + inset_px < right - inset_px < shape[0]
        assert 0 < top + inset_px < bottom - inset_px < shape[1]
        if proposal.source == "free region":
            assert proposal.region.width >= 0.5
            assert proposal.region.height >= 0.12
        if proposal.occlusion == 0.0:
            assert not mask[top:bottom, left:right].any()
    assert result.needs_panel == (result.proposals[0].occlusion > 0)


def test_the_same_input_gives_the_same_plan() -> None:
    image, cup = noise(640, 640), thing(0.3, 0.4, 0.4, 0.5)
    assert planned(image, [cup]).model_dump_json() == planned(image, [cup]).model_dump_json()


def test_long_copy_is_planned_larger_than_short_copy() -> None:
    image = flat(800, 800)
    assert planned(image, copy="가나다라 마바사 " * 30).region.area > planned(image, copy="가나").region.area


@pytest.mark.parametrize("shape", [(64, 64), (2000, 300), (300, 2000), (97, 1)])
def test_odd_shapes_are_planned_or_refused_never_a_crash(shape: tuple[int, int]) -> None:
    assert planned(flat(*shape), copy="할인").proposals


def test_the_planner_picture_shows_boxes_and_proposals_and_keeps_the_size() -> None:
    image = flat(400, 300)
    detections, mask = found_in(image, [thing(0.1, 0.5, 0.4, 0.5)])
    shown = planner_picture(image, detections, plan(image, detections, mask, analysis(), "오늘의 커피"))
    assert shown.shape == image.shape
    assert (shown != image).any()


@pytest.mark.parametrize("max_bytes", [20_000, 3_000])
def test_a_thumbnail_keeps_to_its_bytes_even_for_noise(max_bytes: int) -> None:
    encoded = thumbnail(noise(1200, 900), max_bytes)
    assert len(encoded) <= max_bytes
    assert encoded.startswith(b"RIFF")


def test_a_thumbnail_that_cannot_be_so_small_says_so() -> None:
    with pytest.raises(StageError, match="at most 100 bytes"):
        thumbnail(noise(400, 400), 100)
