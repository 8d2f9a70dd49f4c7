"""When fewer variants run at a time, and when more again."""

from hypothesis import given
from hypothesis import strategies as st

from resources.pressure import Load, measured
from sensors.throttle import CALM_TICKS, PRESSED_TICKS, Order, Throttle, decide


def load(value: float) -> Load:
    return Load("memory", value, calm=50.0, pressed=90.0, unit=" %")


def after(values: list[float], state: Throttle) -> Throttle:
    """The sensor's looks one after another, each setting the limit it decided on."""
    for value in values:
        state, _ = decide(state, state.limit, None, [load(value)])
    return state


VALUES = st.lists(st.floats(0, 100), max_size=80)
CEILINGS = st.integers(1, 8)


@given(values=VALUES, ceiling=CEILINGS)
def test_the_limit_stays_between_one_and_the_ceiling_whatever_is_measured(values: list[float], ceiling: int) -> None:
    state = Throttle(ceiling, ceiling)
    for value in values:
        before = state.limit
        state, _ = decide(state, state.limit, None, [load(value)])
        assert 1 <= state.limit <= state.ceiling == ceiling
        assert abs(state.limit - before) <= 1


@given(values=VALUES, ceiling=CEILINGS)
def test_lasting_pressure_ends_at_one_and_lasting_calm_at_the_ceiling(values: list[float], ceiling: int) -> None:
    state = after(values, Throttle(ceiling, ceiling))
    assert after([95.0] * PRESSED_TICKS * ceiling, state).limit == 1
    assert after([10.0] * CALM_TICKS * (ceiling + 1), state).limit == ceiling


@given(values=st.lists(st.floats(51, 89), max_size=40), limit=st.integers(1, 3))
def test_between_calm_and_pressed_nothing_changes(values: list[float], limit: int) -> None:
    assert after(values, Throttle(3, limit)).limit == limit


@given(ticks=st.integers(0, 20))
def test_a_load_that_swings_at_every_look_changes_nothing(ticks: int) -> None:
    assert after([95.0, 10.0] * ticks, Throttle(3, 2)).limit == 2


@given(state=st.builds(Throttle, st.integers(1, 8), st.integers(1, 8)), given_limit=st.integers(1, 8))
def test_what_people_set_holds_at_once_and_is_the_ceiling(state: Throttle, given_limit: int) -> None:
    by_order, why = decide(state, state.limit, Order(given_limit, "now"), [load(99)])
    assert (by_order.limit, by_order.ceiling) == (given_limit, given_limit)
    assert "were asked for" in why
    if given_limit != state.limit:
        by_hand, _ = decide(state, given_limit, None, [load(99)])
        assert (by_hand.limit, by_hand.ceiling) == (given_limit, given_limit)


def test_an_order_counts_once_and_the_number_it_was_throttled_to_is_an_order_too() -> None:
    order = Order(3, "Monday")
    state, _ = decide(None, 3, order, [])
    for _ in range(PRESSED_TICKS):
        state, _ = decide(state, state.limit, order, [load(99)])
    assert state.limit == 2
    state, _ = decide(state, 2, Order(2, "Tuesday"), [load(10)])
    assert state.ceiling == 2
    for _ in range(2 * CALM_TICKS):
        state, _ = decide(state, state.limit, Order(2, "Tuesday"), [load(10)])
    assert state.limit == 2


def test_the_reason_names_the_figure_and_its_bounds() -> None:
    _, why = decide(Throttle(3, 3), 3, None, [load(10), load(95.25)])
    assert why == "memory 95.2 % (too much from 90, well up to 50)"


def test_this_machine_has_a_load() -> None:
    assert [each.what for each in measured()][:2] == ["threads per core", "memory"]
    assert all(each.value >= 0 for each in measured())


def test_a_load_is_too_much_from_its_bound_on_and_well_up_to_its_bound() -> None:
    assert [(load(value).is_calm, load(value).is_pressed) for value in (50.0, 50.1, 89.9, 90.0)] == [
        (True, False),
        (False, False),
        (False, False),
        (False, True),
    ]


def test_the_second_pressed_look_lowers_the_limit_and_the_sixth_calm_one_raises_it() -> None:
    assert [after([95.0] * looks, Throttle(3, 3)).limit for looks in (1, 2, 3, 4)] == [3, 2, 2, 1]
    assert [after([10.0] * looks, Throttle(3, 1)).limit for looks in (5, 6, 11, 12)] == [1, 2, 2, 3]
