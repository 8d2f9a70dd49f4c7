"""A line cut out of its picture, the map of its ink, and its words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.ocr import line_pixels
from resources.ocr.ink import MARGIN_PX, Line, cut_out
from stages.values import LineToRead, Rect
from testing.drawing import drawn_line

WHITE = (255, 255, 255)


def test_the_map_has_the_size_of_the_line_with_its_margin() -> None:
    image, line = drawn_line("행복", size_px=60)
    left, top, right, bottom = line_pixels(line, image)
    found = cut_out(image, (left, top, right, bottom), line.fill)
    assert found.map.shape == (bottom - top + 2 * MARGIN_PX, right - left + 2 * MARGIN_PX)
    assert found.picture.shape == (*found.map.shape, 3)


def test_ink_is_where_the_text_is_and_nowhere_else() -> None:
    image, line = drawn_line("행복", size_px=60)
    left, top, right, bottom = line_pixels(line, image)
    drawn = (image[top:bottom, left:right] == line.fill).all(axis=2)
    inside = cut_out(image, (left, top, right, bottom), line.fill).ink[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    assert inside[drawn].all()
    assert (inside & ~drawn).mean() < 0.05


def test_spots_of_the_picture_that_have_the_text_s_colour_and_touch_the_edge_are_no_ink() -> None:
    image, line = drawn_line("행복", size_px=60)
    spotted = image.copy()
    spotted[:8] = line.fill
    left, _, right, bottom = line_pixels(line, image)
    assert not cut_out(spotted, (left, 0, right, bottom), line.fill).ink[: MARGIN_PX + 8].any()


def test_a_spot_without_a_pixel_of_the_text_s_colour_is_no_ink() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    image[20:40, 20:40] = 225
    assert not cut_out(image, (0, 0, 60, 60), WHITE).ink.any()


def test_an_outlined_text_on_its_own_colour_is_ink_and_its_outline_is_not() -> None:
    image = np.full((60, 60, 3), 255, np.uint8)
    image[15:45, 15:45] = 0
    image[20:40, 20:40] = 255
    ink = cut_out(image, (0, 0, 60, 60), WHITE).ink[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    assert ink[22:38, 22:38].all()
    assert not ink[15:19, 15:45].any()
    assert not ink[:15].any()


def test_beyond_the_picture_its_last_pixels_are_repeated() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    picture = cut_out(image, (0, 0, 2, 2), WHITE).picture
    assert (picture[0, 0] == image[0, 0]).all()
    assert (picture[-1, -1] == image[1, 1]).all()


@given(
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_line_has_a_pixel_at_least_and_none_outside_the_picture(
    shape: tuple[int, int], corner: tuple[float, float], extent: tuple[float, float]
) -> None:
    box = Rect(x=corner[0], y=corner[1], width=extent[0] * (1 - corner[0]), height=extent[1] * (1 - corner[1]))
    line = LineToRead(box=box, script="latin", fill=WHITE)
    left, top, right, bottom = line_pixels(line, np.zeros((*shape, 3), np.uint8))
    assert 0 <= left < right <= shape[1]
    assert 0 <= top < bottom <= shape[0]


def line_of(words: list[int], letter_px: int = 20, gap_px: int = 3, space_px: int = 12) -> tuple[Line, list[int]]:
    """A line of so many boxes for letters in each word, 40 px high, and the columns where its words begin."""
    columns, begins = np.ones(sum(words) * 40 + 100, np.float32), []
    pen = MARGIN_PX
    for letters in words:
        begins.append(pen)
        for _ in range(letters):
            columns[pen : pen + letter_px] = 0
            pen += letter_px + gap_px
        pen += space_px - gap_px
    ink = np.tile(columns[: pen + MARGIN_PX], (40, 1))
    return Line(np.repeat((ink * 255).astype(np.uint8)[:, :, None], 3, axis=2), ink), begins


def letters_in(line: Line) -> int:
    return int((np.diff(np.pad(line.ink[0], 1).astype(np.int8)) == 1).sum())


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.data())
def test_a_line_is_cut_at_its_spaces_though_the_words_begin_only_about_there(
    words: list[int], data: st.DataObject
) -> None:
    line, begins = line_of(words)
    pieces = line.cut([begin + data.draw(st.integers(-4, 10)) for begin in begins[1:]])
    assert [letters_in(piece) for piece in pieces] == words
    assert sum(piece.map.shape[1] for piece in pieces) == line.map.shape[1]
    assert all(piece.picture.shape[:2] == piece.map.shape for piece in pieces)


@pytest.mark.parametrize("columns", [[], [5.0], [-90.0, 900.0], [3.0, 2.0, 1.0]])
def test_a_line_without_ink_is_cut_into_as_many_pieces_as_asked_for(columns: list[float]) -> None:
    blank = Line(np.full((10, 30, 3), 255, np.uint8), np.ones((10, 30), np.float32))
    assert len(blank.cut(columns)) == len(columns) + 1
