"""Which run the coordinator starts at once: what the limits leave room for, in the queue's order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest

from orchestration.coordinator import PromptRunCoordinator

Status = dg.DagsterRunStatus


class Coordinator(PromptRunCoordinator):
    """Decides for an instance that it is not registered with."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        super().__init__()
        self.decides_for = instance

    @property
    def _instance(self) -> dg.DagsterInstance:
        return self.decides_for

    def has_room(self, run: dg.DagsterRun) -> bool:
        return self._has_room(run, self._in_progress())

    def first(self, *queued: dg.DagsterRun) -> dg.DagsterRun | None:
        return self._first_with_room(queued)


@contextmanager
def limited(*, runs: int = -1, tags: Sequence[dict[str, Any]] = (), pools: bool = False) -> Iterator[Coordinator]:
    """So many runs at a time, so many with a tag, and with `pools` the limits of pools as well."""
    queue = SimpleNamespace(
        max_concurrent_runs=runs,
        tag_concurrency_limits=list(tags),
        should_block_op_concurrency_limited_runs=pools,
        op_concurrency_slot_buffer=0,
    )
    limits = SimpleNamespace(run_queue_config=queue, pool_config=SimpleNamespace(pool_granularity=None))
    with (
        dg.DagsterInstance.ephemeral() as instance,
        patch.object(instance, "get_concurrency_config", lambda: limits),
    ):
        yield Coordinator(instance)


def run_in(coordinator: Coordinator, status: Status = Status.NOT_STARTED, **tags: str) -> dg.DagsterRun:
    job = dg.GraphDefinition(name="variant_pipeline").to_job()
    named = {f"dagster/{name}" if name == "priority" else name: value for name, value in tags.items()}
    return coordinator.decides_for.create_run_for_job(job, status=status, tags=named)


def test_there_is_room_for_as_many_runs_as_the_limit_says() -> None:
    with limited(runs=2) as coordinator:
        run = run_in(coordinator)
        run_in(coordinator, Status.STARTED)
        run_in(coordinator, Status.SUCCESS)
        assert coordinator.has_room(run)
        run_in(coordinator, Status.STARTING)
        assert not coordinator.has_room(run)


def test_minus_one_is_no_limit() -> None:
    with limited() as coordinator:
        for _ in range(3):
            run_in(coordinator, Status.STARTED)
        assert coordinator.has_room(run_in(coordinator))


def test_a_tag_that_is_limited_blocks_only_runs_that_have_it() -> None:
    with limited(tags=[{"key": "gpu", "limit": 1}]) as coordinator:
        run_in(coordinator, Status.STARTED, gpu="yes")
        assert not coordinator.has_room(run_in(coordinator, gpu="yes"))
        assert coordinator.has_room(run_in(coordinator))


@pytest.mark.parametrize(
    ("priorities", "first"),
    [(["-3", "-1", "-2"], 1), (["-1", "5", "-2"], 1), (["-1", "none", "-2"], 1), (["-2", "-2"], 0)],
)
def test_the_highest_priority_is_first_and_what_is_no_number_counts_as_nought(
    priorities: Sequence[str], first: int
) -> None:
    with limited(runs=1) as coordinator:
        queued = [run_in(coordinator, priority=priority) for priority in priorities]
        assert coordinator.first(*queued) == queued[first]


def test_a_run_without_priority_goes_before_all_places_and_one_without_room_is_passed_over() -> None:
    with limited(tags=[{"key": "gpu", "limit": 1}]) as coordinator:
        run_in(coordinator, Status.STARTED, gpu="yes")
        placed, by_hand, blocked = (
            run_in(coordinator, priority="-1"),
            run_in(coordinator),
            run_in(coordinator, gpu="yes"),
        )
        assert coordinator.first(blocked, placed, by_hand) == by_hand
        assert coordinator.first(blocked, placed) == placed
        assert coordinator.first(blocked) is None


@pytest.mark.parametrize("is_blocked", [True, False])
def test_a_pool_without_a_seat_leaves_no_room_where_pools_count(is_blocked: bool) -> None:
    """What Dagster counts as blocked is stood in for; test_coordinator asks Dagster itself."""
    counter = SimpleNamespace(is_blocked=lambda run: is_blocked)
    with patch("orchestration.coordinator.GlobalOpConcurrencyLimitsCounter", lambda *_, **__: counter):
        with limited(pools=True) as coordinator:
            assert coordinator.has_room(run_in(coordinator)) is not is_blocked
        with limited(pools=False) as coordinator:
            assert coordinator.has_room(run_in(coordinator))
