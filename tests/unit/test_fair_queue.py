"""In which order Dagster's queue takes the runs of tenants: simulated with its own rule, highest priority first."""

from dataclasses import dataclass

import dagster as dg
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.fair_queue import FairQueue
from sensors.new_variants import TENANT_TAG

PRIORITY_TAG = "dagster/priority"


@dataclass
class Queue:
    """So many runs at a time; each step ends the oldest and starts what the queue takes next."""

    at_a_time: int = 1

    def __post_init__(self) -> None:
        self.waiting: list[dg.DagsterRun] = []
        self.at_work: list[dg.DagsterRun] = []
        self.begun: list[str] = []

    def submit(self, *tenants: str) -> None:
        """One tick of the sensor."""
        fair_queue = FairQueue.of(TENANT_TAG, [*self.waiting, *self.at_work])
        for tenant in tenants:
            run = dg.DagsterRun(job_name="variant_pipeline", tags=fair_queue.tags_of_next(tenant))
            self.waiting.append(run)

    def step(self) -> None:
        if len(self.at_work) == self.at_a_time:
            self.at_work.pop(0)
        while self.waiting and len(self.at_work) < self.at_a_time:
            # As QueuedRunCoordinatorDaemon does it: oldest first, then a stable sort by priority.
            run = sorted(self.waiting, key=lambda each: int(each.tags[PRIORITY_TAG]), reverse=True)[0]
            self.waiting.remove(run)
            self.at_work.append(run.with_status(dg.DagsterRunStatus.STARTED))
            self.begun.append(run.tags[TENANT_TAG])


def test_a_hundred_jobs_of_one_tenant_delay_the_one_job_of_another_by_no_more_than_a_run_each() -> None:
    queue = Queue()
    queue.submit(*["big"] * 300)
    for _ in range(50):
        queue.step()
    queue.submit("small", "small", "small")
    for _ in range(8):
        queue.step()
    # Turn about, from the next run on.
    assert queue.begun[50:].index("small") <= 1
    assert queue.begun[50:56].count("small") >= 2
    assert queue.begun.count("small") == 3


def test_a_tenant_that_has_waited_is_not_overtaken_for_ever_by_one_that_keeps_sending() -> None:
    queue = Queue()
    queue.submit(*["big"] * 20)
    for _ in range(60):
        queue.submit("steady")
        queue.step()
    assert queue.begun.count("big") == 20


def test_what_people_start_themselves_goes_first() -> None:
    fair_queue = FairQueue.of(TENANT_TAG, [dg.DagsterRun(job_name="variant_pipeline")])
    assert int(fair_queue.tags_of_next("cafe")[PRIORITY_TAG]) < 0


@settings(deadline=None)
@given(
    tenants=st.lists(st.sampled_from("abcd"), min_size=1, max_size=60),
    steps=st.integers(0, 40),
    at_a_time=st.integers(1, 3),
)
def test_a_newcomer_starts_within_one_run_of_each_tenant(tenants: list[str], steps: int, at_a_time: int) -> None:
    queue = Queue(at_a_time)
    queue.submit(*tenants)
    for _ in range(steps):
        queue.step()
    before = len(queue.begun)
    queue.submit("new")
    while "new" not in queue.begun:
        queue.step()
    ahead = queue.begun[before : queue.begun.index("new")]
    assert all(ahead.count(tenant) <= 1 + at_a_time for tenant in "abcd")


def run(place: int | None, tenant: str | None, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    tags = {} if tenant is None else {TENANT_TAG: tenant}
    if place is not None:
        tags[PRIORITY_TAG] = str(-place)
    return dg.DagsterRun(job_name="variant_pipeline", tags=tags, status=status)


WAITS, STARTED = dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED


def test_the_queue_stands_at_the_last_place_that_was_started() -> None:
    runs = [run(4, "a", STARTED), run(7, "b", STARTED), run(9, "a", WAITS), run(12, "a", WAITS)]
    queue = FairQueue.of(TENANT_TAG, runs)
    assert (queue.now, queue.last) == (7, {"a": 12, "b": 7})


def test_while_nothing_is_started_the_queue_stands_before_its_first_place() -> None:
    queue = FairQueue.of(TENANT_TAG, [run(9, "a", WAITS), run(5, "b", WAITS)])
    assert queue.now == 4
    assert FairQueue.of(TENANT_TAG, []).now == 0


def test_a_run_without_tenant_or_without_place_does_not_count() -> None:
    runs = [run(90, None, WAITS), run(None, "a", STARTED), run(-5, "a", STARTED), run(3, "b", WAITS)]
    queue = FairQueue.of(TENANT_TAG, runs)
    assert (queue.now, queue.last) == (2, {"b": 3})


def test_the_next_run_of_a_tenant_comes_after_its_last_and_after_those_that_have_started() -> None:
    queue = FairQueue(TENANT_TAG, now=4, last={"ahead": 8, "behind": 2})
    assert queue.tags_of_next("ahead") == {TENANT_TAG: "ahead", PRIORITY_TAG: "-9"}
    assert queue.tags_of_next("ahead")[PRIORITY_TAG] == "-10"
    assert queue.tags_of_next("behind")[PRIORITY_TAG] == "-5"
    assert queue.tags_of_next("new")[PRIORITY_TAG] == "-5"
