import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.type.text_metrics import (
    critical_tokens,
    critical_tokens_missed,
    edits,
    normalised,
    rate,
    readable_length,
    without_spaces,
    word_error_rate,
)

readable = st.text(alphabet="abc가나 ", max_size=12)
drawn = st.text(alphabet="abc가나쫄넉", max_size=12)
UNREADABLE = "쫄넉"


def cer(references: list[str], readings: list[str]) -> float:
    pairs = [(normalised(a), normalised(b)) for a, b in zip(references, readings, strict=True)]
    return rate(sum(edits(a, b) for a, b in pairs), sum(readable_length(a) for a, _ in pairs))


@pytest.mark.parametrize(
    ("reference", "reading", "expected"),
    [
        ("abc", "axc", 1 / 3),
        ("김치찌개", "김치찌게", 0.25),
        ("떡볶이", "떡볶기", 1 / 3),
        ("할인", "할 인", 0.5),
        ("a", "bcd", 3.0),
        ("９，９００", "9,900", 0.0),
        ("￦", "₩", 0.0),
        ("김치찌개", unicodedata.normalize("NFD", "김치찌개"), 0.0),
        ("", "", 0.0),
        ("", "무엇", 1.0),
    ],
)
def test_character_error_rates_are_the_reference_values(reference: str, reading: str, expected: float) -> None:
    assert cer([reference], [reading]) == pytest.approx(expected)


def test_over_a_corpus_edits_and_lengths_are_summed_first() -> None:
    references = ["this is the reference", "there is another one"]
    readings = ["this is the prediction", "there is an other sample"]
    assert cer(references, readings) == pytest.approx(0.34146341463414637)


def test_a_difference_in_spacing_is_no_error_when_spaces_are_ignored() -> None:
    assert edits(without_spaces("할인"), without_spaces("할 인")) == 0


def test_words_are_compared_as_wholes() -> None:
    assert word_error_rate("오늘만 반값 할인", "오늘만 반갑 할인") == pytest.approx(1 / 3)


@given(readable, readable)
def test_edits_are_symmetric_and_bounded_by_the_longer_text(a: str, b: str) -> None:
    assert edits(a, b) == edits(b, a)
    assert abs(len(a) - len(b)) <= edits(a, b) <= max(len(a), len(b))


@given(readable, readable, readable)
def test_edits_obey_the_triangle_inequality(a: str, b: str, c: str) -> None:
    assert edits(a, c) <= edits(a, b) + edits(b, c)


@given(drawn, readable)
def test_leaving_characters_out_makes_no_more_edits(reference: str, reading: str) -> None:
    assert 0 <= edits(reference, reading, UNREADABLE) <= edits(reference, reading)


@given(drawn, st.data())
def test_whatever_is_read_for_a_character_that_cannot_be_read_is_no_edit(reference: str, data: st.DataObject) -> None:
    guesses = st.sampled_from(["", "x", "하"])
    reading = "".join(data.draw(guesses) if character in UNREADABLE else character for character in reference)
    assert edits(reference, reading, UNREADABLE) == 0


@given(drawn)
def test_only_what_can_be_read_counts_towards_the_length(reference: str) -> None:
    assert readable_length(reference, UNREADABLE) == len(reference) - sum(map(reference.count, UNREADABLE))


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        ("졸깃한 면", 0),
        ("깃한 면", 0),
        ("조르깃한 면", 0),
        ("졸깃한 멸", 1),
        ("졸깃 면", 1),
        ("졸깃한 면발", 1),
        ("", 4),
    ],
)
def test_the_other_characters_of_the_line_are_still_compared(reading: str, expected: int) -> None:
    assert edits("쫄깃한 면", reading, UNREADABLE) == expected


def test_a_word_with_a_character_that_cannot_be_read_is_left_out_of_the_word_errors() -> None:
    assert word_error_rate("쫄깃한 면 한 그릇", "졸깃한 멸 한 그릇", UNREADABLE) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("지금 ₩9,900 부터", ("₩9,900",)),
        ("９，９００원", ("9,900원",)),
        ("1만 5천 원", ("1만5천원",)),
        ("3월 15일부터 50 % 할인", ("3월15일", "50%")),
        ("예약 02-123-4567, 1588-1234", ("02-123-4567", "1588-1234")),
        ("2026.01.05 오픈", ("2026.01.05",)),
        ("1+1 행사", ()),
    ],
)
def test_prices_dates_phones_and_percentages_are_critical(text: str, tokens: tuple[str, ...]) -> None:
    assert critical_tokens(text) == tokens


@pytest.mark.parametrize(
    ("reading", "missed"),
    [
        ("오늘 9,900원 30% 할인", ()),
        ("오늘9, 900원30 %할인", ()),
        ("오늘 9,000원 30% 할인", ("9,900원",)),
        ("오늘 19,900원 30% 할인", ("9,900원",)),
        ("오늘 9,900원 80% 할인", ("30%",)),
        ("", ("9,900원", "30%")),
    ],
)
def test_a_critical_token_is_exact_or_wrong(reading: str, missed: tuple[str, ...]) -> None:
    assert critical_tokens_missed("오늘 9,900원 30% 할인", reading) == missed


@pytest.mark.parametrize(("reading", "missed"), [("W9,900부터", ()), ("9,900부터", ()), ("W9,800부터", ("₩9,900",))])
def test_of_a_critical_token_only_what_can_be_read_must_be_exact(reading: str, missed: tuple[str, ...]) -> None:
    assert critical_tokens_missed("₩9,900 부터", reading, "₩") == missed
