"""What happens in the same moment leaves the jobs as if it had happened one after the other."""

import pytest

from testing import races


@pytest.mark.parametrize("race", races.RACES, ids=lambda race: race.title)
def test_no_race_leaves_a_job_unsettled_or_ends_in_a_deadlock(database_url: str, race: races.Race) -> None:
    assert races.faults(race, 500, races.run(database_url, race, rounds=500)) == []
