from itertools import count

import pytest

from testing.waiting import until


def test_waiting_ends_as_soon_as_it_has_happened() -> None:
    turn = count()
    assert until("the third time", lambda: next(turn) == 2, every_s=0.0) < 1.0
    assert next(turn) == 3


def test_a_time_out_says_what_was_awaited_and_shows_the_details() -> None:
    with pytest.raises(TimeoutError, match=r"^not within 0\.05 s: the run has ended\nlast line of its log$"):
        until("the run has ended", lambda: False, within_s=0.05, details=lambda: "last line of its log")


def test_a_time_out_without_details_is_one_line() -> None:
    with pytest.raises(TimeoutError, match=r"^not within 0 s: rain$"):
        until("rain", lambda: False, within_s=0.0)
