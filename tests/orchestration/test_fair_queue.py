"""Which place in the queue the next run of a group gets. How that turns out for several tenants: test_fairness."""

from __future__ import annotations

import dagster as dg
import pytest

from orchestration.fair_queue import FairQueue
from testing.forking.runs import remote_origin

STARTED, QUEUED, NOT_STARTED = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED


def run(status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
    names = {"group": "group", "priority": "dagster/priority"}
    tags = {names[name]: value for name, value in tags.items()}
    return dg.DagsterRun(job_name="job", status=status, tags=tags, remote_job_origin=remote_origin("job"))


def test_the_next_run_of_a_group_is_one_place_after_its_last_and_never_before_where_the_queue_is() -> None:
    queue = FairQueue("group", now=5, last={"big": 9, "small": 2})
    assert queue.tags_of_next("big") == {"group": "big", "dagster/priority": "-10"}
    assert queue.tags_of_next("big") == {"group": "big", "dagster/priority": "-11"}
    assert queue.tags_of_next("small") == {"group": "small", "dagster/priority": "-6"}
    assert queue.tags_of_next("new") == {"group": "new", "dagster/priority": "-6"}


@pytest.mark.parametrize(
    ("places", "now"),
    [
        ([], 0),
        ([(STARTED, 3), (STARTED, 5), (QUEUED, 6)], 5),
        ([(QUEUED, 8), (NOT_STARTED, 6), (QUEUED, 9)], 5),
    ],
    ids=["empty", "at the latest that has started", "before the first that waits"],
)
def test_where_the_queue_is(places: list[tuple[dg.DagsterRunStatus, int]], now: int) -> None:
    runs = [run(status, group="any", priority=str(-place)) for status, place in places]
    assert FairQueue.of("group", runs).now == now


def test_the_last_place_of_each_group_is_read_from_its_runs_in_any_order() -> None:
    runs = [
        run(QUEUED, group="a", priority="-7"),
        run(STARTED, group="a", priority="-3"),
        run(QUEUED, group="b", priority="-4"),
    ]
    assert FairQueue.of("group", runs).last == {"a": 7, "b": 4}


@pytest.mark.parametrize(
    "tags",
    [{}, {"priority": "-7"}, {"group": "a"}, {"group": "a", "priority": "7"}, {"group": "a", "priority": "high"}],
    ids=["no tags", "no group", "no priority", "a priority of people's", "no number"],
)
def test_runs_without_a_group_or_a_place_do_not_count(tags: dict[str, str]) -> None:
    assert FairQueue.of("group", [run(STARTED, **tags)]) == FairQueue("group")
