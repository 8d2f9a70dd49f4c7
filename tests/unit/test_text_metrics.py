import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.type.text_metrics import (
    character_error_rate,
    character_error_rate_ignoring_spaces,
    critical_tokens,
    critical_tokens_missed,
    edit_distance,
    jamo_error_rate,
    normalised,
    word_error_rate,
)

short = st.text(alphabet="abc가나 ", max_size=12)


@pytest.mark.parametrize(
    ("reference", "reading", "cer"),
    [
        ("abc", "axc", 1 / 3),
        ("김치찌개", "김치찌게", 0.25),
        ("떡볶이", "떡볶기", 1 / 3),
        ("할인", "할 인", 0.5),
    ],
)
def test_character_error_rates_are_the_reference_values(reference: str, reading: str, cer: float) -> None:
    assert character_error_rate([reference], [reading]) == pytest.approx(cer)


def test_a_difference_in_spacing_is_no_error_when_spaces_are_ignored() -> None:
    assert character_error_rate_ignoring_spaces(["할인"], ["할 인"]) == 0.0


@pytest.mark.parametrize(
    ("reference", "reading", "rate"), [("김치찌개", "김치찌게", 1 / 9), ("떡볶이", "떡볶기", 0.125)]
)
def test_over_jamo_a_wrong_vowel_or_final_costs_less(reference: str, reading: str, rate: float) -> None:
    assert jamo_error_rate(reference, reading) == pytest.approx(rate)


def test_over_a_corpus_edits_and_lengths_are_summed_first() -> None:
    references = ["this is the reference", "there is another one"]
    readings = ["this is the prediction", "there is an other sample"]
    assert character_error_rate(references, readings) == pytest.approx(0.34146341463414637)


def test_decomposed_korean_reads_as_the_same_text() -> None:
    assert character_error_rate(["김치찌개"], [unicodedata.normalize("NFD", "김치찌개")]) == 0.0


def test_full_width_forms_are_the_same_text() -> None:
    assert normalised("９，９００") == "9,900"
    assert normalised("￦") == "₩"


@pytest.mark.parametrize(("reading", "cer"), [("", 0.0), ("무엇", 1.0)])
def test_an_empty_reference_is_right_only_when_nothing_was_read(reading: str, cer: float) -> None:
    assert character_error_rate([""], [reading]) == cer


def test_an_error_rate_may_exceed_one() -> None:
    assert character_error_rate(["a"], ["bcd"]) == 3.0


def test_words_are_compared_as_wholes() -> None:
    assert word_error_rate("오늘만 반값 할인", "오늘만 반갑 할인") == pytest.approx(1 / 3)


@given(short, short)
def test_edit_distance_is_symmetric_and_bounded_by_the_longer_text(a: str, b: str) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))


@given(short, short, short)
def test_edit_distance_obeys_the_triangle_inequality(a: str, b: str, c: str) -> None:
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


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
