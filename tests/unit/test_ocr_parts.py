"""The recogniser's own parts: ink maps, alignment, syllables."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.ocr import latin, line_pixels
from resources.ocr.align import align
from resources.ocr.cells import Cell, read_cells
from resources.ocr.ink import MARGIN_PX, crop, find_ink, ink_map
from resources.ocr.mixed import Sign
from resources.ocr.syllables import best_matches, everyday_syllables, likeness
from testing.drawing import NANUM, drawn_line

FONT = NANUM / "NanumSquareB.ttf"
signs = st.lists(st.builds(Sign, st.sampled_from("가나다1,"), st.just(0.9), st.just(False), st.none()), max_size=8)
cells = st.lists(
    st.builds(Cell, st.just(0), st.just(9), st.sampled_from(["가", "나", "다", ""]), st.just(0.9)), max_size=8
)


@given(signs, cells)
def test_aligning_keeps_every_sign_and_every_cell_in_order(written: list[Sign], found: list[Cell]) -> None:
    pairs = align(written, found)
    assert [sign for sign, _ in pairs if sign is not None] == written
    assert [cell for _, cell in pairs if cell is not None] == found
    assert (None, None) not in pairs


@given(st.text(alphabet="가나다", max_size=8))
def test_equal_readings_are_aligned_one_to_one(text: str) -> None:
    written = [Sign(syllable, 0.9, False, None) for syllable in text]
    found = [Cell(0, 9, syllable, 0.9) for syllable in text]
    assert align(written, found) == list(zip(written, found, strict=True))


def test_a_syllable_one_reader_missed_stands_alone() -> None:
    written = [Sign(syllable, 0.9, False, None) for syllable in "깃한"]
    found = [Cell(0, 9, syllable, 0.9) for syllable in "쫄깃한"]
    assert [sign.text if sign else None for sign, _ in align(written, found)] == [None, "깃", "한"]


def test_the_everyday_syllables_are_those_of_the_standard() -> None:
    known = everyday_syllables()
    assert len(known) == len(set(known)) == 2350
    assert known[0] == "가"
    assert known[-1] == "힝"
    assert set("넉쫄짬뽕숯") <= set(known)
    assert "뷁" not in known


def test_a_rendered_syllable_is_most_like_itself() -> None:
    for syllable in "넉쫄짬뽕숯은온":
        image, line = drawn_line(syllable, size_px=60)
        ink = ink_map(image, line_pixels(line, image), line.fill)
        (match,) = best_matches([ink], FONT)
        assert match.syllable == syllable
        assert match.likeness > 0.9
        assert likeness(ink, syllable, [FONT]) == match.likeness
        assert likeness(ink, "A", [FONT]) == 0


def test_a_line_is_cut_into_its_syllables_and_signs() -> None:
    image, line = drawn_line("짬뽕 12,900원")
    corners = line_pixels(line, image)
    ink = ink_map(image, corners, line.fill)
    found = read_cells(ink, corners[3] - corners[1], [FONT]).cells
    assert [cell.syllable for cell in found] == ["짬", "뽕", *[""] * 6, "원"]
    assert all(a.right <= b.left for a, b in pairwise(found))


@settings(deadline=None)
@given(st.integers(1, 12), st.lists(st.tuples(st.integers(1, 60), st.integers(0, 4)), min_size=1, max_size=5))
def test_ink_that_is_no_writing_is_cut_from_left_to_right(height_px: int, bars: list[tuple[int, int]]) -> None:
    row = np.concatenate([np.repeat([0.0, 1.0], bar) for bar in bars])
    ink = np.pad(np.tile(row, (height_px, 1)), MARGIN_PX, constant_values=1.0).astype(np.float32)
    found = read_cells(ink, height_px, [FONT]).cells
    assert [ink[:, cell.left : cell.right].min() for cell in found] == [0.0] * len(found)
    assert all(a.right <= b.left for a, b in pairwise(found))


def test_a_blank_line_has_no_cells() -> None:
    assert read_cells(np.ones((30, 200), np.float32), 22, [FONT]).cells == []


def test_the_ink_map_shows_the_text_and_not_the_picture_s_spots_of_its_colour() -> None:
    image, line = drawn_line("행복", size_px=60)
    spotted = image.copy()
    spotted[:8] = line.fill
    left, top, right, bottom = line_pixels(line, image)
    clean = ink_map(image, (left, top, right, bottom), line.fill)
    assert clean.shape == (bottom - top + 2 * MARGIN_PX, right - left + 2 * MARGIN_PX)
    larger = ink_map(spotted, (left, 0, right, bottom), line.fill)
    assert (larger[: MARGIN_PX + 8] == 1).all()
    assert np.abs(larger[-clean.shape[0] :] - clean).mean() < 0.02


def test_an_outlined_text_on_its_own_colour_is_still_seen() -> None:
    image = np.full((60, 60, 3), 255, np.uint8)
    image[15:45, 15:45] = 0
    image[20:40, 20:40] = 255
    ink = ink_map(image, (10, 10, 50, 50), (255, 255, 255))
    middle = ink[MARGIN_PX + 10 : MARGIN_PX + 30, MARGIN_PX + 10 : MARGIN_PX + 30]
    assert (middle[4:-4, 4:-4] < 0.5).all() or (middle < 0.5).mean() > 0.5
    assert ink[0, 0] == 1


def test_the_ink_is_found_tightly_within_a_roomy_box() -> None:
    image, line = drawn_line("행복", size_px=60)
    left, top, right, bottom = line_pixels(line, image)
    found = find_ink(image, (left - 9, top - 9, right + 9, bottom + 9), line.fill)
    assert found is not None
    assert max(abs(a - b) for a, b in zip(found.corners_px, (left, top, right, bottom), strict=True)) <= 2
    assert found.map.shape[0] == found.height_px + 2 * MARGIN_PX
    assert find_ink(np.full_like(image, 90), (left, top, right, bottom), line.fill) is None


def test_a_crop_beyond_the_edge_repeats_the_last_pixels() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    part = crop(image, (0, 0, 2, 2), 1)
    assert part.shape == (4, 4, 3)
    assert (part[0, 0] == image[0, 0]).all()
    assert (part[3, 3] == image[1, 1]).all()


def ink_of(
    words: list[int], letter_px: int = 14, gap_px: int = 4, space_px: int = 18
) -> tuple[np.ndarray, list[float]]:
    """A line of boxes for letters, 40 px high: its ink map, and the letters' centres as fractions of its width."""
    lefts, pen = [], MARGIN_PX
    for letters in words:
        for _ in range(letters):
            lefts.append(pen)
            pen += letter_px + gap_px
        pen += space_px - gap_px
    width = lefts[-1] + letter_px + MARGIN_PX
    ink = np.ones((40 + 2 * MARGIN_PX, width), np.float32)
    for left in lefts:
        ink[MARGIN_PX:-MARGIN_PX, left : left + letter_px] = 0.0
    return ink, [(left + letter_px / 2) / width for left in lefts]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_a_space_that_the_network_lost_is_where_the_ink_has_a_gap(words: list[int]) -> None:
    ink, centres = ink_of(words)
    read = tuple(latin.Sign("a", 0.9, x) for x in centres)
    text = "".join(sign.text for sign in latin.spaced(read, ink))
    assert text == " ".join("a" * letters for letters in words)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_a_space_that_was_read_is_not_set_again(words: list[int]) -> None:
    ink, centres = ink_of(words)
    once = latin.spaced(tuple(latin.Sign("a", 0.9, x) for x in centres), ink)
    assert latin.spaced(once, ink) == once


def test_no_space_is_set_between_the_digits_of_a_number() -> None:
    ink, centres = ink_of([1, 1, 1])
    read = tuple(latin.Sign(digit, 0.9, x) for digit, x in zip("010", centres, strict=True))
    assert latin.spaced(read, ink) == read


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_where_the_ink_map_has_lost_a_letter_that_was_read_there_is_no_space(lost: int) -> None:
    ink, centres = ink_of([5], letter_px=20)
    middle = round(centres[lost] * ink.shape[1])
    ink[:, middle - 10 : middle + 10] = 1.0
    read = tuple(latin.Sign("a", 0.9, x) for x in centres)
    assert latin.spaced(read, ink) == read
