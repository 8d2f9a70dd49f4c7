"""Texts of others in our messages."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from stages.model_call import request_trace
from stages.values import StageError
from stages.wording import MOST_MESSAGE, MOST_VALUE, harmful_count, harmless, message_text, shown
from testing.pictures import flat

HIDDEN = "\0\x07\x1b\u202e\u2066\u200f\x85\U000e0041"


def test_a_short_value_is_quoted_and_a_long_one_is_cut_and_says_how_long_it_is() -> None:
    assert shown("/assets/커피.png") == "'/assets/커피.png'"
    long = shown("x" * 6_000_000)
    assert len(long) < MOST_VALUE + 30
    assert long.endswith("… (6,000,000 characters)")


def test_what_nobody_sees_of_a_value_is_written_as_an_escape() -> None:
    assert shown("a\u202eb\0") == "'a\\u202eb\\x00'"


def test_every_message_of_a_stage_is_cut_and_visible() -> None:
    message = str(StageError("the copy 'a\u202e\x1b[2J' cannot be drawn: " + "가" * 6_000_000))
    assert message.startswith("the copy 'a\\u202e\\x1b[2J' cannot")
    assert len(message) == MOST_MESSAGE
    assert message.endswith("characters)")


@given(st.text(max_size=3000))
def test_no_text_makes_a_message_too_long_or_invisible(text: str) -> None:
    written = message_text(text)
    assert len(written) <= MOST_MESSAGE
    assert all(character.isprintable() or character in "\n\t" for character in written)


def test_only_what_could_deceive_is_left_out_of_a_text() -> None:
    usual = "오늘의 커피\n한 잔\t₩4,500 👩‍🍳 ﻿é"
    assert harmless(usual) == usual
    assert harmful_count(usual) == 0
    assert harmless(f"a{HIDDEN}b") == "ab"
    assert harmful_count(f"a{HIDDEN}b") == len(HIDDEN)


@given(st.text())
def test_what_is_left_has_no_control_character_but_line_ends_and_tabs(text: str) -> None:
    assert all(unicodedata.category(character) != "Cc" or character in "\n\t" for character in harmless(text))


def test_the_stored_request_holds_what_a_model_reads() -> None:
    assert request_trace(flat(40, 60), copy=f"커{HIDDEN}피")["copy"] == "커피"
