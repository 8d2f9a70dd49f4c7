import unicodedata

import pytest

from stages.imaging.geometry import overlap_area
from stages.ocr_eval import lines_to_read, score
from stages.type.fonts import Fonts
from stages.values import Layout, LineRead, Recognition, Rect, Script
from testing.pictures import (
    COPY,
    MODEL,
    banner_ad,
    flat,
    text_at,
)

TWO_LINES = (Rect(x=0.1, y=0.1, width=0.8, height=0.1), Rect(x=0.1, y=0.3, width=0.8, height=0.1))


def read(*texts: str) -> tuple[LineRead, ...]:
    return tuple(LineRead(text=text, confidence=0.9) for text in texts)


def scored(layout: Layout, reads: tuple[LineRead, ...], unreadable: str = "") -> Recognition:
    """By a recogniser that has every character but these, in lines of both scripts."""
    return score(layout, reads, MODEL, lambda character, _: character not in unreadable)


def test_a_perfect_reading_has_no_error() -> None:
    result = scored(text_at(*TWO_LINES, texts=("오늘만 반값", "₩9,900")), read("오늘만 반값", "￦９，９００"))
    assert (result.cer, result.wer, result.edit_distance, result.critical_tokens_missed) == (0, 0, 0, ())
    assert "exactly" in result.reason


def test_decomposed_korean_is_a_perfect_reading() -> None:
    decomposed = unicodedata.normalize("NFD", "김치찌개")
    assert scored(text_at(TWO_LINES[0], texts=("김치찌개",)), read(decomposed)).cer == 0.0


def test_spacing_alone_is_in_the_raw_figure_only() -> None:
    result = scored(text_at(TWO_LINES[0], texts=("할인",)), read("할 인"))
    assert (result.cer, result.cer_ignoring_spaces) == (0.5, 0.0)
    assert "spacing apart" in result.reason


def test_unreadable_text_is_a_high_error_rate_not_an_error() -> None:
    result = scored(text_at(*TWO_LINES, texts=("오늘만", "반값")), read("", ""))
    assert (result.cer, result.cer_ignoring_spaces, result.wer) == (1.0, 1.0, 1.0)


def test_a_recogniser_that_returns_too_few_lines_has_failed() -> None:
    with pytest.raises(ValueError, match="returned 1 lines for 2"):
        scored(text_at(*TWO_LINES), read("가"))


def test_lines_are_summed_before_dividing() -> None:
    result = scored(text_at(*TWO_LINES, texts=("abcdefghi", "x")), read("abcdefghi", "y"))
    assert result.cer == pytest.approx(0.1)


def test_a_wrong_price_is_named_however_small_the_error_rate() -> None:
    result = scored(
        text_at(*TWO_LINES, texts=("오늘만 특별한 가격", "9,900원")),
        read("오늘만 특별한 가격", "9,800원"),
    )
    assert result.critical_tokens_missed == ("9,900원",)
    assert "9,900원 was not read exactly" in result.reason


def test_each_line_goes_to_a_recogniser_of_its_script_with_its_colour(fonts: Fonts) -> None:
    lines = lines_to_read(text_at(*TWO_LINES, texts=("BIG SALE", "오늘 SALE")))
    assert [line.script for line in lines] == ["latin", "hangul"]
    layout, _ = banner_ad(flat(600, 600), COPY, fonts)
    for line, drawn in zip(lines_to_read(layout), layout.lines, strict=True):
        assert line.fill == layout.fill
        assert overlap_area(line.box.corners, drawn.ink.corners) == pytest.approx(drawn.ink.area)


def test_characters_that_the_recogniser_does_not_have_are_no_error_and_are_named() -> None:
    layout = text_at(*TWO_LINES, texts=("쫄깃한 면", "넉넉한 양"))
    result = scored(layout, read("졸깃한 면", "넋넋한 영"), unreadable="쫄넉")
    assert result.unreadable_by_reader == ("쫄", "넉")
    assert [line.unreadable_by_reader for line in result.lines] == [("쫄",), ("넉",)]
    assert [line.edits for line in result.lines] == [0, 1]
    assert result.cer == pytest.approx(1 / 7)
    assert result.cer_ignoring_spaces == pytest.approx(1 / 5)
    assert result.wer == pytest.approx(1 / 2)
    assert result.edit_distance == 1
    assert "does not know 쫄, 넉" in result.reason


def test_of_a_text_that_cannot_be_read_at_all_nothing_is_said() -> None:
    result = scored(text_at(TWO_LINES[0], texts=("쫄쫄",)), read("좋좋"), unreadable="쫄")
    assert (result.cer, result.cer_ignoring_spaces, result.wer, result.edit_distance) == (0, 0, 0, 0)


def test_a_price_whose_sign_cannot_be_read_is_still_compared() -> None:
    layout = text_at(TWO_LINES[0], texts=("₩9,900",))
    assert scored(layout, read("W9,900"), unreadable="₩").critical_tokens_missed == ()
    assert scored(layout, read("W9,800"), unreadable="₩").critical_tokens_missed == ("₩9,900",)


def test_what_can_be_read_is_asked_for_the_script_of_the_line() -> None:
    def knows(character: str, script: Script) -> bool:
        return character in ("가나" if script == "hangul" else "ab")

    result = score(text_at(*TWO_LINES, texts=("가ab", "abc")), read("가ab", "abc"), MODEL, knows)
    assert [line.unreadable_by_reader for line in result.lines] == [("a", "b"), ("c",)]


def test_a_result_from_before_unreadable_characters_were_told_apart_can_still_be_read() -> None:
    result = scored(text_at(TWO_LINES[0], texts=("할인",)), read("할인"))
    stored = result.model_dump(mode="json")
    del stored["unreadable_by_reader"], stored["lines"][0]["unreadable_by_reader"]
    assert Recognition.model_validate(stored) == result
