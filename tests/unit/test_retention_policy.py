"""Which partitions the hourly job removes, decided without a database."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from variant_assets.retention import RetentionPolicy, to_remove

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def policy(*, days: int = 30, partitions: int = 1000) -> RetentionPolicy:
    return RetentionPolicy(partition_days=days, partitions=partitions, run_days=1, image_days=1)


def ended(*days_ago: float | None) -> dict[UUID, datetime | None]:
    return {uuid4(): None if days is None else NOW - timedelta(days=days) for days in days_ago}


@given(
    ages_days=st.lists(st.integers(0, 100) | st.none(), max_size=60),
    not_ended=st.integers(0, 30),
    kept_count=st.integers(1, 60),
    most=st.integers(1, 80),
)
def test_what_goes_is_always_the_longest_ended_and_enough_of_it(
    ages_days: list[int | None], not_ended: int, kept_count: int, most: int
) -> None:
    variants = {uuid4(): None if age is None else NOW - timedelta(days=age) for age in ages_days}
    gone = to_remove(variants, len(variants) + not_ended, NOW, policy(partitions=kept_count), most)
    stays = set(variants) - set(gone)
    ages = {key: NOW - when if when else timedelta.max for key, when in variants.items()}
    assert len(gone) <= most
    assert all(ages[a] >= ages[b] for a in gone for b in stays)
    if len(gone) < most:
        assert all(ages[key] <= timedelta(days=30) for key in stays)
        assert not stays or len(stays) + not_ended <= kept_count


def test_what_ended_a_moment_too_long_ago_goes_and_what_ended_a_moment_later_stays() -> None:
    old, new = ended(30.001), ended(29.999)
    assert to_remove({**new, **old}, 2, NOW, policy()) == [*old]
    assert to_remove(ended(30), 1, NOW, policy()) == []


def test_a_variant_without_a_row_goes_however_few_there_are() -> None:
    deleted = ended(None)
    assert to_remove({**ended(1), **deleted}, 2, NOW, policy()) == [*deleted]


def test_as_many_as_there_are_too_many_go_and_those_that_have_not_ended_count() -> None:
    finished = ended(3, 2, 1)
    assert to_remove(finished, 3, NOW, policy(partitions=3)) == []
    assert to_remove(finished, 4, NOW, policy(partitions=3)) == [*finished][:1]
    assert to_remove(finished, 99, NOW, policy(partitions=3)) == [*finished]


def test_of_more_than_one_pass_takes_the_longest_ended_go_first() -> None:
    finished = ended(90, 80, 70)
    assert to_remove(finished, 3, NOW, policy(), most=2) == [*finished][:2]
