"""How the copy is set in a rectangle: sizes, lines and places, whatever the faces."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.imaging.geometry import Corners
from stages.type.ad_copy import Parts, estimated_width_em
from stages.type.fonts import Fonts
from stages.type.line_breaking import Level, balanced, fewest_lines, measured
from stages.type.setting import (
    Align,
    Block,
    Faces,
    TypeSizeRange,
    estimate,
    set_in,
    two_sizes_read_as_two,
    type_size_range,
)
from stages.values import Size, SizeCategory

BOX = (30, 40, 330, 240)
ALLOWED = TypeSizeRange(smallest_px=16, largest_px=60)
TWO = Parts("신메뉴 출시!", "지금 매장에서 만나보세요")
ONE = Parts("겨울 딸기 케이크 예약 시작", "")


def set_here(
    fonts: Fonts, parts: Parts, align: Align = "center", box: Corners = BOX, allowed: TypeSizeRange = ALLOWED
) -> Block:
    block = set_in(parts, box, align, Faces(fonts.choose("sans"), fonts.choose("sans", bold=False)), allowed, fonts)
    assert block is not None
    return block


def test_text_is_flush_left_centred_or_flush_right_by_its_ink(fonts: Fonts) -> None:
    for line in set_here(fonts, TWO, "left").lines:
        assert line.ink[0] == BOX[0]
    for line in set_here(fonts, TWO, "right").lines:
        assert line.ink[2] == BOX[2]
    for line in set_here(fonts, TWO, "center").lines:
        assert abs((line.ink[0] - BOX[0]) - (BOX[2] - line.ink[2])) <= 1


@pytest.mark.parametrize("parts", [ONE, TWO])
def test_the_block_stands_in_the_middle_of_the_height(fonts: Fonts, parts: Parts) -> None:
    ink = set_here(fonts, parts).ink
    assert abs((ink[1] - BOX[1]) - (BOX[3] - ink[3])) <= 1


def test_the_ink_of_the_block_is_that_of_all_its_lines(fonts: Fonts) -> None:
    block = set_here(fonts, TWO)
    assert block.ink == (
        min(line.ink[0] for line in block.lines),
        min(line.ink[1] for line in block.lines),
        max(line.ink[2] for line in block.lines),
        max(line.ink[3] for line in block.lines),
    )


def test_lines_follow_each_other_by_the_leading_of_their_paragraph(fonts: Fonts) -> None:
    block = set_here(fonts, Parts("신메뉴 출시! 지금 매장에서 만나보세요 오늘만", ""))
    baselines = [line.runs[0].origin_y_px for line in block.lines]
    assert len(baselines) > 1
    assert {after - before for before, after in pairwise(baselines)} == {round(1.26 * block.lines[0].font_size_px)}


def test_the_secondary_text_is_smaller_lighter_and_stands_apart(fonts: Fonts) -> None:
    block = set_here(fonts, TWO)
    headline, *others = block.lines
    small_px = others[0].font_size_px
    assert small_px == max(16, round(0.56 * headline.font_size_px))
    assert {line.font_size_px for line in others} == {small_px}
    assert headline.runs[0].face.bold > others[0].runs[0].face.bold
    apart = others[0].runs[0].origin_y_px - headline.runs[0].origin_y_px
    assert apart == round(0.5 * small_px) + round(1.38 * small_px)


@pytest.mark.parametrize("parts", [ONE, TWO, Parts("할인", ""), Parts("Fresh coffee every single day", "")])
def test_the_type_is_as_large_as_the_box_allows(fonts: Fonts, parts: Parts) -> None:
    found = set_here(fonts, parts).headline.font_size_px
    if found < ALLOWED.largest_px:
        larger = TypeSizeRange(found + 1, ALLOWED.largest_px)
        faces = Faces(fonts.choose("sans"), fonts.choose("sans", bold=False))
        again = set_in(parts, BOX, "center", faces, larger, fonts)
        # Larger type fits, if at all, only by breaking words, which is worth it from 1/0.6 times the size on.
        assert again is None or again.headline.font_size_px < found / 0.6
    wide = (0, 0, 3000, 900)
    assert set_here(fonts, parts, box=wide).headline.font_size_px == ALLOWED.largest_px


def test_words_stay_whole_unless_breaking_them_makes_the_type_much_larger(fonts: Fonts) -> None:
    box = (0, 0, 200, 200)
    whole = set_here(fonts, Parts("가나다라 마바사아", ""), box=box)
    assert [line.text for line in whole.lines] == ["가나다라", "마바사아"]
    broken = set_here(fonts, Parts("가나다라마바사아자차카타", ""), box=box)
    assert len(broken.lines) > 1
    assert broken.headline.font_size_px > 200 / 12


def test_text_that_fits_in_no_allowed_size_is_not_set(fonts: Fonts) -> None:
    faces = Faces(fonts.choose("sans"), fonts.choose("sans", bold=False))
    assert set_in(ONE, (0, 0, 40, 40), "left", faces, ALLOWED, fonts) is None


@pytest.mark.parametrize(
    ("size_px", "two"), [(16, False), (19, False), (20, True), (28, True), (29, True), (40, True), (60, True)]
)
def test_two_sizes_read_as_two_when_the_smaller_is_at_most_four_fifths(size_px: int, two: bool) -> None:
    assert two_sizes_read_as_two(size_px, ALLOWED) is two


@pytest.mark.parametrize(
    ("width_px", "height_px", "category", "expected"),
    [
        (1080, 1080, "large", (28, 96)),
        (1080, 1920, "medium", (28, 84)),
        (1920, 1080, "small", (28, 64)),
        (2160, 2160, "large", (56, 192)),
        (540, 2000, "large", (14, 48)),
        (300, 300, "large", (14, 27)),
        (100, 100, "small", (14, 14)),
    ],
)
def test_type_is_as_large_in_a_picture_as_its_short_side_says(
    width_px: int, height_px: int, category: SizeCategory, expected: tuple[int, int]
) -> None:
    assert type_size_range(Size(width_px=width_px, height_px=height_px), category) == expected


def one_em(text: str) -> float:
    """Every character, and every space, one em wide."""
    return float(len(text))


def test_a_block_is_as_high_as_its_first_line_and_the_leading_of_the_others() -> None:
    def height(parts: Parts, width_px: float) -> float:
        found = estimate(parts, Level.WORD, 50, width_px, (one_em, one_em), TypeSizeRange(10, 60))
        assert found is not None
        return found.height_px

    assert height(Parts("ab cd", ""), 250.0) == pytest.approx(50.0)
    assert height(Parts("ab cd", ""), 249.0) == pytest.approx(50.0 + 1.26 * 50)
    # Below it a paragraph of 28 px: half an em more than its leading above its first line.
    assert height(Parts("ab", "cd"), 250.0) == pytest.approx(50.0 + (1.38 + 0.5) * 28)
    assert height(Parts("ab", "cd ef"), 100.0) == pytest.approx(50.0 + (1.38 + 0.5) * 28 + 1.38 * 28)
    assert estimate(Parts("abc", ""), Level.WORD, 50, 149.0, (one_em, one_em), TypeSizeRange(10, 60)) is None


WORDS = st.lists(st.text("abcde", min_size=1, max_size=8), min_size=2, max_size=7)


@settings(max_examples=150)
@given(WORDS, st.integers(1, 5), st.integers(8, 40))
def test_balanced_lines_are_the_most_even_of_all_that_fit(words: list[str], count: int, available: int) -> None:
    text = measured(" ".join(words), Level.WORD, one_em)
    mean = len(" ".join(words)) / count

    def raggedness(lines: list[str]) -> float:
        return sum((len(line) - mean) ** 2 for line in lines)

    choices = []
    for cuts in combinations(range(1, len(words)), count - 1):
        ends = [0, *cuts, len(words)]
        lines = [" ".join(words[start:end]) for start, end in pairwise(ends)]
        if all(len(line) <= available or " " not in line for line in lines):
            choices.append(lines)
    found = balanced(text, count, float(available))
    if not choices:
        assert found is None
    else:
        assert found is not None
        assert raggedness(list(found)) == pytest.approx(min(map(raggedness, choices)))


@given(WORDS, st.integers(8, 40))
def test_as_few_lines_as_fit_and_no_fewer(words: list[str], available: int) -> None:
    text = measured(" ".join(words), Level.WORD, one_em)
    fewest = fewest_lines(text, float(available))
    assert fewest is not None
    lines = balanced(text, fewest, float(available))
    assert lines is not None
    assert all(len(line) <= available for line in lines)
    if fewest > 1:
        fewer = balanced(text, fewest - 1, float(available))
        assert fewer is None or any(len(line) > available for line in fewer)


def test_a_word_that_is_wider_than_the_line_still_gets_a_line_of_its_own() -> None:
    text = measured("a extraordinary b", Level.WORD, one_em)
    assert balanced(text, 3, 6.0) == ("a", "extraordinary", "b")


def lines_of(text: str, count: int = 2, level: Level = Level.WORD) -> tuple[str, ...] | None:
    return balanced(measured(text, level, one_em), count, 99.0)


def test_a_lone_syllable_goes_with_the_word_after_it_though_the_lines_are_less_even() -> None:
    before, after = "가" * 10, "나" * 11
    assert lines_of(f"{before} 한 {after}") == (before, f"한 {after}")
    assert lines_of(f"{before} a {after}") == (f"{before} a", after)


def test_of_two_even_breaks_the_one_after_punctuation_is_taken() -> None:
    assert lines_of("ab cx de") == ("ab", "cx de")
    assert lines_of("ab c, de") == ("ab c,", "de")
    assert lines_of("ab c: de") == ("ab c:", "de")


def test_words_are_broken_only_where_that_makes_the_lines_much_more_even() -> None:
    assert lines_of("가나다라 마바사아자", level=Level.SYLLABLE) == ("가나다라", "마바사아자")
    assert lines_of("가나다라마바사아자차 카", level=Level.SYLLABLE) == ("가나다라마바", "사아자차 카")


def test_copy_that_fits_only_in_the_smallest_type_is_set_in_it(fonts: Fonts) -> None:
    for size_px in (16, 17, 30):
        # One line is as high as its type.
        block = set_here(fonts, ONE, box=(0, 0, 3000, size_px), allowed=TypeSizeRange(size_px, 60))
        assert block.headline.font_size_px == size_px


@pytest.mark.parametrize("align", ["left", "center", "right"])
def test_no_letter_leaves_its_box_however_narrow_or_low_the_box_is(fonts: Fonts, align: Align) -> None:
    faces = Faces(fonts.choose("sans"), fonts.choose("sans", bold=False))
    found = 0
    for width_px in range(40, 200, 7):
        for height_px in (17, 23, 41, 66, 97):
            box = (11, 13, 11 + width_px, 13 + height_px)
            for parts in (ONE, TWO, Parts("Qjgy, Ägypten!", "")):
                block = set_in(parts, box, align, faces, ALLOWED, fonts)
                if block is not None:
                    found += 1
                    left, top, right, bottom = block.ink
                    assert box[0] <= left <= right <= box[2]
                    assert box[1] <= top <= bottom <= box[3]
    assert found > 50


def test_widths_are_estimated_rather_too_large_for_bold_type_and_not_by_much(fonts: Fonts) -> None:
    bold = fonts.load(fonts.choose("sans"), 200)
    letters = "가나힣MWmw@iljtaekxAEKR0189 .,!()"
    for letter in letters:
        assert estimated_width_em(letter) >= bold.getlength(letter) / 200 - 0.02, letter
    assert sum(map(estimated_width_em, letters)) <= 1.45 * bold.getlength(letters) / 200
