"""What people read of a plan: where a region is, how calm, what it holds, and the picture of it."""

import numpy as np
import pytest

from stages.placement.plan_picture import planner_picture
from stages.planner import place
from stages.values import Plan, Proposal, Rect
from testing.pictures import flat, found_in, noise, planned, size_of, thing


def centred_at(x: float, y: float, width: float = 0.2, height: float = 0.1) -> Rect:
    return Rect(x=x - width / 2, y=y - height / 2, width=width, height=height)


@pytest.mark.parametrize(
    ("y", "words"),
    [(0.1, "top"), (0.21, "top"), (0.23, "upper"), (0.41, "upper"), (0.43, "middle"), (0.57, "middle"), (0.59, "lower"),
     (0.77, "lower"), (0.79, "bottom"), (0.9, "bottom")],
)  # fmt: skip
def test_the_height_of_a_region_is_named_by_its_middle(y: float, words: str) -> None:
    assert place(centred_at(0.5, y)) == f"{words} centre"


@pytest.mark.parametrize(
    ("x", "width", "words"),
    [
        (0.2, 0.2, "left"),
        (0.43, 0.2, "left"),
        (0.45, 0.2, "centre"),
        (0.55, 0.2, "centre"),
        (0.57, 0.2, "right"),
        (0.8, 0.2, "right"),
        (0.5, 0.69, "centre"),
        (0.5, 0.71, "band"),
        (0.4, 0.71, "band"),
        (0.4, 0.69, "left"),
    ],
)
def test_the_side_of_a_region_is_named_by_its_middle_unless_it_is_a_band(x: float, width: float, words: str) -> None:
    assert place(centred_at(x, 0.5, width)) == f"middle {words}"


def test_a_calm_free_place_is_said_to_be_one_and_a_busy_one_busy() -> None:
    calm, busy = planned(flat(600, 600), copy="커피").proposals[0], planned(noise(600, 600), copy="커피").proposals[0]
    assert "0% of it on objects, calm, holds 1 line at about" in calm.words
    assert "busy, holds 1 line at about" in busy.words
    assert "free" not in calm.words


def test_more_lines_than_one_are_lines() -> None:
    tall = planned(flat(400, 900), [thing(0.4, 0.0, 0.6, 1.0)], "겨울 딸기 케이크 예약 시작 오늘만 할인")
    assert "lines at about" in tall.proposals[0].words


def test_a_place_on_objects_says_so_and_that_its_text_gets_a_panel() -> None:
    plan = planned(flat(600, 600), [thing(0.0, 0.0, 1.0, 1.0)], "커피")
    assert plan.needs_panel
    assert plan.proposals[0].words.endswith("; nothing large enough is free, so the text gets a panel")
    assert "100% of it on objects" in plan.proposals[0].words


def test_a_narrow_place_says_why_it_was_taken() -> None:
    plan = planned(flat(900, 900), [thing(0.4, 0.0, 0.6, 1.0)], "커피")
    assert plan.proposals[0].source == "narrow free region"
    assert plan.proposals[0].words.endswith("; nothing 0.5 × 0.12 is free")
    assert not plan.needs_panel


def test_the_last_resort_is_everything_inside_the_margins() -> None:
    last = planned(flat(900, 600), [thing(0.0, 0.0, 0.5, 1.0), thing(0.6, 0.0, 0.4, 1.0)], "커피").proposals[-1]
    assert last.source == "whole picture"
    assert last.region.x * 900 == pytest.approx(0.055 * 600, abs=900 / 96)
    assert last.region.y * 600 == pytest.approx(0.055 * 600, abs=900 / 96)
    assert last.region.x + last.region.width / 2 == pytest.approx(0.5)
    assert last.region.y + last.region.height / 2 == pytest.approx(0.5)
    assert 0.85 < last.occlusion < 0.95


def test_what_a_place_covers_counts_against_it_and_the_last_resort_is_worse_than_any() -> None:
    *others, last = planned(flat(600, 600), [thing(0.0, 0.0, 1.0, 1.0)], "커피").proposals
    for proposal in others:
        assert proposal.reasons["on_objects"] < -1
        assert proposal.reasons["of_objects"] < 0
        assert sum(proposal.reasons.values()) == pytest.approx(proposal.score, abs=0.001)
        assert last.score < proposal.score


GREEN, WHITE, RED = (0, 190, 95), (255, 255, 255), (235, 64, 52)


def test_the_picture_of_a_plan_outlines_objects_and_regions_and_tints_only_the_chosen_one() -> None:
    image = flat(480, 480, (90, 90, 90))
    objects = [thing(0.625, 0.625, 0.25, 0.25)]
    first, second = (
        Proposal(region=Rect(x=0.1, y=y, width=0.4, height=0.2), score=1.0, occlusion=0.0, source="test", words="")
        for y in (0.1, 0.6)
    )
    plan = Plan(proposals=(first, second), chosen=1, size=size_of(image))
    shown = planner_picture(image, found_in(image, objects)[0], plan)

    def outline(rect: Rect) -> set[tuple[int, ...]]:
        """The colours in the outermost row or column in the middle of each side."""
        left, top, right, bottom = rect.corners_px(plan.size)
        x, y = (left + right) / 2, (top + bottom) / 2
        sides = ((left, y), (x, top), (right - 1, y), (x, bottom - 1))
        return {tuple(shown[int(row), int(column)].tolist()) for column, row in sides}

    assert outline(first.region) == {WHITE}
    assert outline(second.region) == {GREEN}
    assert outline(objects[0].box) == {RED}
    middle_of_first, middle_of_second, middle_of_object = shown[96, 150], shown[336, 150], shown[360, 370]
    assert middle_of_first.tolist() == middle_of_object.tolist() == [90, 90, 90]
    assert middle_of_second[1] > 100 > middle_of_second[0]


def test_each_caption_lies_on_a_dark_ground_inside_the_corner_of_its_box() -> None:
    image = flat(960, 960, (200, 200, 200))
    region = Rect(x=0.25, y=0.25, width=0.5, height=0.5)
    proposal = Proposal(region=region, score=1.0, occlusion=0.0, source="test", words="")
    other = proposal.model_copy(update={"region": Rect(x=0.0, y=0.0, width=0.1, height=0.1)})
    plan = Plan(proposals=(proposal, other), chosen=1, size=size_of(image))
    # Inside the outline, which is four px wide here.
    inside = planner_picture(image, found_in(image)[0], plan)[244:716, 244:716].astype(int).sum(axis=2)
    ys, xs = np.nonzero(inside < 300)
    ys_of_words, xs_of_words = np.nonzero(inside > 700)
    # The words begin twice the outline's width from the corner, and their ground three px before them.
    assert xs.min() == pytest.approx(8 - 4 - 3, abs=2)
    ends = [xs_of_words.min() - xs.min(), xs.max() - xs_of_words.max()]
    ends += [ys_of_words.min() - ys.min(), ys.max() - ys_of_words.max()]
    assert min(ends) >= 2
    assert ys.max() < 40


def test_there_are_never_more_than_eight_proposals_and_a_panel_is_announced_where_there_is_one() -> None:
    for copy in ("커피", "겨울 딸기. 오늘만 만 원!"):
        for objects in ([], [thing(0.4, 0.0, 0.6, 1.0)], [thing(0.3, 0.3, 0.4, 0.4)], [thing(0.0, 0.0, 1.0, 1.0)]):
            proposals = planned(flat(900, 900), objects, copy).proposals
            assert len(proposals) <= 8
            for proposal in proposals:
                covers = proposal.source == "least harmful region" and proposal.occlusion > 0
                assert ("so the text gets a panel" in proposal.words) is covers
