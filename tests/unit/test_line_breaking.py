import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.type.ad_copy import estimated_width_em
from stages.type.line_breaking import (
    FORBIDDEN_END,
    FORBIDDEN_START,
    Level,
    balanced,
    fewest_lines,
    measured,
    pieces,
)
from testing.pictures import solid

texts = (
    st.text(alphabet="가나다라힣ab1 .,!?()“”%원₩-", min_size=1, max_size=40)
    .map(lambda t: " ".join(t.split()))
    .filter(bool)
)


def em(text: str) -> float:
    return sum(map(estimated_width_em, text))


def cut(text: str, level: Level) -> list[str]:
    return [piece.text for piece in pieces(text, level)]


def test_words_stay_whole_at_the_word_level() -> None:
    assert cut("겨울 딸기 케이크", Level.WORD) == ["겨울", "딸기", "케이크"]


def test_syllables_part_at_the_syllable_level() -> None:
    assert cut("겨울 딸기", Level.SYLLABLE) == ["겨", "울", "딸", "기"]


def test_latin_words_part_only_as_the_last_resort() -> None:
    assert cut("sale 할인", Level.SYLLABLE) == ["sale", "할", "인"]
    assert cut("sale", Level.LETTER) == list("sale")


@pytest.mark.parametrize(
    "token",
    [
        "9,900원",
        "₩9,900",
        "02-123-4567",
        "3월 15일",
        "2026년 3월 15일",
        "30%",
        "3 kg",
        "100g",
        "1+1",
        "10명",
        "1만 5천 원",
        "2시간",
    ],
)
def test_numbers_with_units_prices_dates_and_phone_numbers_are_never_split(token: str) -> None:
    assert token in cut(f"오늘 {token} 입니다", Level.LETTER)


def test_a_number_does_not_hold_on_to_the_word_after_it() -> None:
    assert cut("2026 지금", Level.WORD) == ["2026", "지금"]


@given(texts)
def test_no_line_may_start_or_end_with_forbidden_punctuation(text: str) -> None:
    for level in Level:
        found = cut(text, level)
        assert not any(piece[0] in FORBIDDEN_START for piece in found[1:])
        assert not any(piece[-1] in FORBIDDEN_END for piece in found[:-1])


@given(texts, st.integers(1, 5), st.floats(2, 30))
def test_balanced_lines_hold_the_whole_text_and_fit(text: str, count: int, available: float) -> None:
    words = measured(text, Level.SYLLABLE, em)
    lines = balanced(words, count, available)
    if lines is not None and words.widest <= available:
        assert solid("".join(lines)) == solid(text)
        assert len(lines) == count
        assert all(em(line) <= available + 1e-6 for line in lines)


@given(texts, st.floats(2, 30))
def test_the_fewest_lines_can_be_balanced_unless_a_word_is_too_wide(text: str, available: float) -> None:
    words = measured(text, Level.SYLLABLE, em)
    count = fewest_lines(words, available)
    if words.widest > available:
        assert count is None
    else:
        assert count is not None
        assert balanced(words, count, available) is not None


def test_balanced_lines_are_less_ragged_than_greedy_ones() -> None:
    words = measured("매일 아침 갓 구운 빵과 함께하는 하루", Level.WORD, em)
    lines = balanced(words, 2, 16)
    assert lines == ("매일 아침 갓 구운", "빵과 함께하는 하루")


def test_a_lone_syllable_stays_with_the_word_after_it() -> None:
    lines = balanced(measured("향긋한 커피 한 잔의 여유", Level.WORD, em), 2, 9)
    assert lines == ("향긋한 커피", "한 잔의 여유")


def test_a_piece_wider_than_the_line_has_no_lines() -> None:
    assert fewest_lines(measured("가나다라마바사", Level.WORD, em), 3) is None
