"""The copy before it is drawn."""

import pytest

from stages.type.ad_copy import Parts, normalise_copy, require_copy, split_copy
from stages.values import StageError


@pytest.mark.parametrize("copy", [None, "", "  \n"])
def test_a_job_without_copy_is_named(copy: str | None) -> None:
    with pytest.raises(StageError, match="no ad copy for job 42"):
        require_copy(copy, "42")


@pytest.mark.parametrize(("characters", "is_taken"), [(1_000, True), (1_001, False)])
def test_copy_of_more_than_1000_characters_is_refused(characters: int, is_taken: bool) -> None:
    copy = "가" * characters
    if is_taken:
        assert require_copy(f" {copy} ", "42") == copy
    else:
        with pytest.raises(StageError, match="the ad copy of job 42 has 1,001 characters, more than 1,000; shorten it"):
            require_copy(copy, "42")


def test_copy_is_passed_on_without_white_space_around_it() -> None:
    assert require_copy(" 커피 \n", "42") == "커피"


def test_copy_is_normalised_but_keeps_its_line_ends() -> None:
    assert normalise_copy("  커피\u200b \t한 잔\r\n\n지금️ ") == "커피 한 잔\n지금"


@pytest.mark.parametrize("empty", ["", "   ", "\n\t", "\u200b\ufe0f", "\u3164"])
def test_copy_without_a_visible_character_is_no_copy(empty: str) -> None:
    with pytest.raises(StageError, match="no ad copy"):
        normalise_copy(empty)


@pytest.mark.parametrize(
    ("copy", "parts"),
    [
        ("신메뉴 출시! 지금 만나보세요.", Parts("신메뉴 출시!", "지금 만나보세요.")),
        ("신메뉴 출시\n지금 만나보세요", Parts("신메뉴 출시", "지금 만나보세요")),
        ("한 문장뿐입니다.", Parts("한 문장뿐입니다.", "")),
        ("가격은 3.5달러", Parts("가격은 3.5달러", "")),
        ("가" * 40 + ". 나", Parts("가" * 40 + ". 나", "")),
    ],
)
def test_a_short_first_sentence_is_the_headline(copy: str, parts: Parts) -> None:
    assert split_copy(copy) == parts


def test_every_variation_selector_is_dropped_and_its_neighbours_are_not() -> None:
    selectors = "".join(map(chr, range(0xFE00, 0xFE10)))
    assert normalise_copy(f"a{selectors}b") == "ab"
    assert normalise_copy("a\ufdffb\ufe10c") == "a\ufdffb\ufe10c"


@pytest.mark.parametrize(("characters", "is_headline"), [(28, True), (29, False)])
def test_a_first_sentence_of_at_most_28_characters_is_a_headline(characters: int, is_headline: bool) -> None:
    sentence = "가" * (characters - 1) + "."
    assert bool(split_copy(f"{sentence} 지금 오세요").secondary) is is_headline
