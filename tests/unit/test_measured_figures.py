"""The figures of overlap, readability and detection, against counting cells and against known colours."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.imaging.arrays import Bits
from stages.iou_eval import overlap
from stages.ocr_eval import lines_to_read, score
from stages.readability_eval import measure
from stages.type.fonts import Fonts
from stages.type.glyphs import glyph_mask, with_glyphs
from stages.values import Detections, LineRead, Panel, Rect, Size
from stages.yolo_detect import detections_with_mask
from testing.pictures import MODEL, SIZE, banner_ad, flat, found_in, text_at, thing

GRID = 16
SIDES = st.tuples(st.integers(0, 11), st.integers(0, 11), st.integers(1, 5), st.integers(1, 5))
RECTS = SIDES.map(lambda s: Rect(x=s[0] / GRID, y=s[1] / GRID, width=s[2] / GRID, height=s[3] / GRID))


def cells(*rects: Rect) -> Bits:
    """The cells of a grid that the rectangles cover."""
    found = np.zeros((GRID, GRID), dtype=bool)
    for rect in rects:
        left, top, right, bottom = (round(side * GRID) for side in rect.corners)
        found[top:bottom, left:right] = True
    return found


@given(st.lists(RECTS, min_size=1, max_size=3), st.lists(RECTS, min_size=1, max_size=3), RECTS)
def test_overlap_is_what_counting_cells_gives(inks: list[Rect], boxes: list[Rect], plate: Rect) -> None:
    objects = tuple(thing(box.x, box.y, box.width, box.height) for box in boxes)
    panel = Panel(rect=plate, color=(0, 0, 0), opacity=0.5)
    layout = text_at(*inks).model_copy(update={"panel": panel})
    found = overlap(layout, Detections(objects=objects, size=SIZE, forbidden_share=0.0, model=MODEL))
    text = cells(*inks)
    for each, box in zip(found.objects, boxes, strict=True):
        thing_cells = cells(box)
        both = (text & thing_cells).sum()
        assert each.coverage == pytest.approx(both / thing_cells.sum())
        assert each.iou == pytest.approx(both / (text | thing_cells).sum())
    assert found.max_coverage == max(each.coverage for each in found.objects)
    assert found.max_iou == max(each.iou for each in found.objects)
    assert found.text_on_objects == pytest.approx((text & cells(*boxes)).sum() / text.sum())
    hidden = [(cells(box) & cells(plate)).sum() / cells(box).sum() for box in boxes]
    assert found.plate_coverage == pytest.approx(max(hidden))


def test_exactly_two_percent_covered_is_no_overlap_and_a_little_more_is() -> None:
    for width, more in ((0.02, False), (0.0201, True)):
        text = text_at(Rect(x=0.0, y=0.0, width=width, height=1.0))
        found = overlap(text, Detections(objects=(thing(0, 0, 1, 1),), size=SIZE, forbidden_share=0.0, model=MODEL))
        assert found.overlaps is more
        assert found.reason.endswith(f"{'more' if more else 'not more'} than 2%")
        assert (", not more" in found.reason) is not more


def test_the_worst_covered_object_is_named_and_one_that_is_not_covered_is_none() -> None:
    text = text_at(Rect(x=0.0, y=0.0, width=0.5, height=0.5))
    objects = (thing(0.4, 0.4, 0.4, 0.4, "bowl"), thing(0.1, 0.1, 0.2, 0.2, "cup"))
    found = overlap(text, Detections(objects=objects, size=SIZE, forbidden_share=0.0, model=MODEL))
    assert "100.0% of 'cup'" in found.reason
    free = overlap(text, Detections(objects=(thing(0.6, 0.6, 0.2, 0.2),), size=SIZE, forbidden_share=0.0, model=MODEL))
    assert free.reason == "no text lies on any of the 1 objects"


@pytest.mark.parametrize(
    ("level", "ratio", "passes_aa", "passes_aaa"),
    [
        (0x76, 4.542225, True, True),
        (0x77, 4.478089, True, False),
        (0x94, 3.033470, True, False),
        (0x95, 2.995346, False, False),
    ],
)
def test_large_grey_text_on_white_is_graded_as_wcag_does(
    fonts: Fonts, level: int, ratio: float, passes_aa: bool, passes_aaa: bool
) -> None:
    white = flat(600, 600, (255, 255, 255))
    layout, _ = banner_ad(white, "오늘의 커피", fonts)
    found = measure(white, with_glyphs(white, glyph_mask(layout, fonts), (level, level, level)), layout, fonts)
    assert found.large_text
    assert found.contrast_p1 == pytest.approx(ratio, abs=1e-6)
    assert (found.passes_aa, found.passes_aaa) == (passes_aa, passes_aaa)
    assert found.score == pytest.approx(min(1.0, math.log(ratio) / math.log(4.5)), abs=1e-6)
    assert ("reaches 3.0:1 for large text" in found.reason) is passes_aa


def test_an_ad_is_of_large_text_only_if_each_line_is(fonts: Fonts) -> None:
    white = flat(600, 600, (255, 255, 255))
    layout, ad = banner_ad(white, "오늘의 커피", fonts)
    assert measure(white, ad, layout, fonts).large_text
    lines = (layout.lines[0], layout.lines[0].model_copy(update={"font_size_px": 20}))
    assert not measure(white, ad, layout.model_copy(update={"lines": lines}), fonts).large_text


def test_the_room_around_a_line_for_the_recogniser_is_a_seventh_of_its_type_and_at_least_four_px() -> None:
    size = Size(width_px=1000, height_px=1000)
    ink = Rect(x=0.3, y=0.4, width=0.2, height=0.1)
    for type_px, room_px in ((100, 15), (20, 4), (40, 6)):
        layout = text_at(ink).model_copy(update={"size": size, "font_size_px": type_px})
        left, top, right, bottom = (round(side) for side in lines_to_read(layout)[0].box.corners_px(size))
        assert (left, top, right, bottom) == (300 - room_px, 400 - room_px, 500 + room_px, 500 + room_px)


def test_the_confidence_of_a_reading_counts_each_character_once() -> None:
    layout = text_at(*[Rect(x=0.1, y=y, width=0.5, height=0.1) for y in (0.1, 0.3)], texts=("abcdefghi", "x"))
    reads = (LineRead(text="abcdefghi", confidence=1.0), LineRead(text="x", confidence=0.5))
    assert score(layout, reads, MODEL, lambda *_: True).confidence == pytest.approx(0.95)


def test_the_lines_that_differ_are_counted_and_the_worst_is_quoted() -> None:
    inks = [Rect(x=0.1, y=y, width=0.5, height=0.1) for y in (0.1, 0.3, 0.5)]
    layout = text_at(*inks, texts=("abcd", "efgh", "ijkl"))
    reads = tuple(LineRead(text=text, confidence=1.0) for text in ("abcd", "efgx", "xxxx"))
    assert (
        score(layout, reads, MODEL, lambda *_: True).reason == "2 of 3 lines differ, most of all 'ijkl', read as 'xxxx'"
    )


def test_the_margin_around_an_object_is_of_the_shorter_side() -> None:
    _, mask = found_in(flat(1000, 500), [thing(0.4, 0.4, 0.2, 0.2)])
    ys, xs = np.nonzero(mask)
    assert (xs.min(), xs.max() + 1, ys.min(), ys.max() + 1) == (400 - 6, 600 + 6, 200 - 6, 300 + 6)


def test_objects_come_surest_first_then_by_name_and_place() -> None:
    objects = [
        thing(0.1, 0.5, 0.1, 0.1, "cup", 0.5),
        thing(0.5, 0.1, 0.1, 0.1, "cup", 0.5),
        thing(0.1, 0.1, 0.1, 0.1, "bowl", 0.5),
        thing(0.7, 0.7, 0.1, 0.1, "person", 0.9),
    ]
    found = detections_with_mask(objects, SIZE, MODEL)[0].objects
    assert [(each.label, each.box.x) for each in found] == [("person", 0.7), ("bowl", 0.1), ("cup", 0.5), ("cup", 0.1)]


@given(st.floats(-50, 250), st.floats(-50, 250), st.floats(-50, 250), st.floats(-50, 250))
def test_corners_in_px_become_the_part_of_the_rectangle_that_lies_in_the_picture(
    left: float, top: float, right: float, bottom: float
) -> None:
    size = Size(width_px=200, height_px=100)
    rect = Rect.from_corners_px(left, top, right, bottom, size)
    expected = (
        min(max(left, 0), 200),
        min(max(top, 0), 100),
        max(min(max(right, 0), 200), min(max(left, 0), 200)),
        max(min(max(bottom, 0), 100), min(max(top, 0), 100)),
    )
    assert rect.corners_px(size) == pytest.approx(expected, abs=1e-6)
    assert rect.area * 200 * 100 == pytest.approx((expected[2] - expected[0]) * (expected[3] - expected[1]), abs=1e-3)
