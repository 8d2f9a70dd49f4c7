"""The tag that says which process executes a run."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import dagster as dg
import pytest

from orchestration._dagster import HIDDEN_TAG_PREFIX
from orchestration.worker_tag import WORKER_TAG, Worker


@pytest.fixture
def mine() -> Worker:
    return Worker.of_this_process("run")


def run(**tags: str) -> dg.DagsterRun:
    return dg.DagsterRun(job_name="job", run_id="run", tags=tags)


def test_a_run_knows_its_worker_by_the_tag(mine: Worker) -> None:
    assert Worker.of_run(run(**mine.tags)) == mine
    assert mine.is_here
    assert mine.is_alive


def test_a_retry_that_carries_its_first_runs_tag_has_no_worker_yet(mine: Worker) -> None:
    assert Worker.of_run(run(**replace(mine, run="another run").tags)) is None


def test_the_workers_of_runs_in_flight_are_found_under_the_name_of_an_earlier_release(mine: Worker) -> None:
    before = run(**{"shop/worker": json.dumps(asdict(mine))})
    assert Worker.of_run(before) is None
    assert Worker.of_run(before, ["shop/worker"]) == mine
    # The retry of such a run has both.
    both = run(**{"shop/worker": json.dumps(asdict(replace(mine, run="first"))), **mine.tags})
    assert Worker.of_run(both, ["shop/worker"]) == mine


@pytest.mark.parametrize("other", ["a process that started earlier", "a boot before"])
def test_a_worker_whose_number_another_process_has_is_not_alive_nor_interrupted(mine: Worker, other: str) -> None:
    gone = replace(mine, boot="before") if other == "a boot before" else replace(mine, started_ticks=1)
    assert not gone.is_alive
    assert not gone.interrupt()


def test_a_runs_list_can_be_filtered_by_the_tag_which_the_ui_does_not_show(mine: Worker) -> None:
    assert WORKER_TAG.startswith(HIDDEN_TAG_PREFIX)
    with dg.DagsterInstance.ephemeral() as instance:
        made = instance.create_run_for_job(dg.GraphDefinition(name="nothing").to_job(), tags={"kept": "yes"})
        tags = replace(mine, run=made.run_id).tags
        instance.add_run_tags(made.run_id, tags)
        [found] = instance.get_runs(dg.RunsFilter(tags=tags))
        assert found.tags["kept"] == "yes"
        assert Worker.of_run(found) == replace(mine, run=made.run_id)
