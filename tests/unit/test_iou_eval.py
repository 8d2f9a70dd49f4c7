import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.imaging.geometry import union_area
from stages.iou_eval import overlap
from stages.values import (
    DetectedObject,
    Detections,
    Panel,
    Rect,
)
from testing.pictures import MODEL, SIZE, text_at, thing

rects = st.builds(
    lambda x, y, w, h: Rect(x=x / 20, y=y / 20, width=w / 20, height=h / 20),
    *(st.integers(0, 10) for _ in range(4)),
)


def detected(*objects: DetectedObject) -> Detections:
    return Detections(objects=objects, size=SIZE, forbidden_share=0.0, model=MODEL)


def test_a_small_object_wholly_under_the_banner_is_found_by_coverage_not_iou() -> None:
    banner = Rect(x=0.1, y=0.05, width=0.8, height=0.18)
    result = overlap(text_at(banner), detected(thing(0.4, 0.1, 0.08, 0.08, label="cake")))
    assert result.max_iou == pytest.approx(0.0444, abs=1e-3)
    assert result.max_coverage == pytest.approx(1.0)
    assert result.overlaps
    assert "100.0% of 'cake'" in result.reason


def test_without_objects_nothing_is_overlapped_and_the_reason_says_so() -> None:
    result = overlap(text_at(Rect(x=0.1, y=0.1, width=0.5, height=0.1)), detected())
    assert (result.max_iou, result.max_coverage, result.text_on_objects, result.overlaps) == (0, 0, 0, False)
    assert "no object" in result.reason


def test_the_gap_between_lines_covers_nothing() -> None:
    lines = (Rect(x=0.1, y=0.1, width=0.8, height=0.1), Rect(x=0.1, y=0.3, width=0.8, height=0.1))
    assert overlap(text_at(*lines), detected(thing(0.4, 0.22, 0.1, 0.06))).max_coverage == 0.0


def test_lines_that_overlap_count_once() -> None:
    line = Rect(x=0.0, y=0.0, width=0.5, height=0.2)
    result = overlap(text_at(line, line), detected(thing(0.0, 0.0, 1.0, 0.2)))
    assert (result.max_coverage, result.text_on_objects, result.max_iou) == pytest.approx((0.5, 1.0, 0.5))


@pytest.mark.parametrize(("width", "overlaps"), [(0.019, False), (0.021, True)])
def test_more_than_two_percent_covered_is_an_overlap(width: float, overlaps: bool) -> None:
    result = overlap(text_at(Rect(x=0.0, y=0.0, width=width, height=1.0)), detected(thing(0.0, 0.0, 1.0, 1.0)))
    assert result.overlaps is overlaps


@given(rects, rects)
def test_iou_never_exceeds_coverage(a: Rect, b: Rect) -> None:
    result = overlap(text_at(a), detected(thing(b.x, b.y, b.width, b.height)))
    assert 0.0 <= result.max_iou <= result.max_coverage + 1e-12
    assert result.max_coverage <= 1.0


@given(st.lists(rects, max_size=4))
def test_the_area_of_a_union_lies_between_the_largest_part_and_the_sum(parts: list[Rect]) -> None:
    areas = [part.area for part in parts]
    assert max(areas, default=0.0) - 1e-9 <= union_area(parts) <= sum(areas) + 1e-9


def test_a_plate_hides_what_lies_under_it_and_a_soft_shade_does_not() -> None:
    cake = thing(0.4, 0.1, 0.2, 0.2, label="cake")
    rect = Rect(x=0.3, y=0.1, width=0.2, height=0.4)

    def hidden(opacity: float) -> float:
        panel = Panel(rect=rect, color=(0, 0, 0), opacity=opacity)
        layout = text_at(Rect(x=0.0, y=0.9, width=0.1, height=0.05)).model_copy(update={"panel": panel})
        return overlap(layout, detected(cake)).plate_coverage

    assert hidden(0.9) == pytest.approx(0.5)
    assert hidden(0.3) == 0.0
