import unicodedata

import pytest

from stages.imaging.geometry import overlap_area
from stages.ocr_eval import lines_to_read, score
from stages.type.fonts import Fonts
from stages.values import (
    LineRead,
    Rect,
)
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


def test_a_perfect_reading_has_no_error() -> None:
    result = score(text_at(*TWO_LINES, texts=("오늘만 반값", "₩9,900")), read("오늘만 반값", "￦９，９００"), MODEL)
    assert (result.cer, result.wer, result.edit_distance, result.critical_tokens_missed) == (0, 0, 0, ())
    assert "exactly" in result.reason


def test_decomposed_korean_is_a_perfect_reading() -> None:
    decomposed = unicodedata.normalize("NFD", "김치찌개")
    assert score(text_at(TWO_LINES[0], texts=("김치찌개",)), read(decomposed), MODEL).cer == 0.0


def test_spacing_alone_is_in_the_raw_figure_only() -> None:
    result = score(text_at(TWO_LINES[0], texts=("할인",)), read("할 인"), MODEL)
    assert (result.cer, result.cer_ignoring_spaces) == (0.5, 0.0)
    assert "spacing apart" in result.reason


def test_unreadable_text_is_a_high_error_rate_not_an_error() -> None:
    result = score(text_at(*TWO_LINES, texts=("오늘만", "반값")), read("", ""), MODEL)
    assert (result.cer, result.cer_ignoring_spaces, result.wer) == (1.0, 1.0, 1.0)


def test_a_recogniser_that_returns_too_few_lines_has_failed() -> None:
    with pytest.raises(ValueError, match="returned 1 lines for 2"):
        score(text_at(*TWO_LINES), read("가"), MODEL)


def test_lines_are_summed_before_dividing() -> None:
    result = score(text_at(*TWO_LINES, texts=("abcdefghi", "x")), read("abcdefghi", "y"), MODEL)
    assert result.cer == pytest.approx(0.1)


def test_a_wrong_price_is_named_however_small_the_error_rate() -> None:
    result = score(
        text_at(*TWO_LINES, texts=("오늘만 특별한 가격", "9,900원")),
        read("오늘만 특별한 가격", "9,800원"),
        MODEL,
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
