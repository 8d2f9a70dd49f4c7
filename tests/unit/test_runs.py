"""What the sensors conclude from Dagster's runs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import pytest

from orchestration.fair_queue import FairQueue
from resources.postgres.notifier import may_be_startable
from resources.postgres.values import RequestedVariant
from sensors.new_variants import TENANT_TAG, run_request
from stages.pipeline import STAGE_NAMES
from variant_assets.runs import asked_revision, is_terminated, unfinished_runs, variants_of

Status = dg.DagsterRunStatus


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run_in(instance: dg.DagsterInstance, status: Status, **tags: str) -> dg.DagsterRun:
    job = dg.GraphDefinition(name="variant_pipeline").to_job()
    return instance.create_run_for_job(job, status=status, tags={name.replace("__", "/"): tags[name] for name in tags})


def test_a_run_that_was_created_and_not_submitted_is_forgotten_after_a_minute(instance: dg.DagsterInstance) -> None:
    created, begun = run_in(instance, Status.NOT_STARTED), run_in(instance, Status.STARTING)
    run_in(instance, Status.SUCCESS)
    now = instance.get_run_records(dg.RunsFilter(run_ids=[created.run_id]))[0].create_timestamp

    def unfinished(after_s: float) -> set[str]:
        return {run.run_id for run in unfinished_runs(instance, now + timedelta(seconds=after_s))}

    assert unfinished(59.9) == {created.run_id, begun.run_id}
    assert unfinished(60.0) == {begun.run_id}


def test_a_terminated_run_and_one_that_ended_otherwise_are_told_apart(instance: dg.DagsterInstance) -> None:
    assert is_terminated(run_in(instance, Status.CANCELED))
    assert not is_terminated(run_in(instance, Status.FAILURE))


def test_a_run_knows_the_state_that_its_sensor_asked_for(instance: dg.DagsterInstance) -> None:
    run = run_in(instance, Status.STARTED, dagster__run_key=f"{uuid4()}:41")
    assert asked_revision(run) == 41
    assert asked_revision(run_in(instance, Status.STARTED)) is None
    copied = {"dagster/run_key": run.tags["dagster/run_key"]}
    again = instance.create_run_for_job(
        dg.GraphDefinition(name="variant_pipeline").to_job(),
        parent_run_id=run.run_id,
        root_run_id=run.run_id,
        tags=copied,
    )
    assert asked_revision(again) is None


def test_a_run_works_on_the_variant_of_its_partition_if_it_has_one(instance: dg.DagsterInstance) -> None:
    variant = uuid4()
    assert variants_of(run_in(instance, Status.STARTED, dagster__partition=str(variant))) == [variant]
    assert variants_of(run_in(instance, Status.STARTED, dagster__partition="by hand")) == []
    assert variants_of(run_in(instance, Status.STARTED)) == []


def requested(**other: Any) -> RequestedVariant:
    given = {
        "job_variants_id": UUID(int=1), "state_revision": 7, "held_by": None, "start_stage": STAGE_NAMES[0],
        "job_id": UUID(int=2), "tenant_id": "cafe", "current_step": "img_gen", "status": "done",
        "requested_before": False,
    }  # fmt: skip
    return RequestedVariant(**{**given, **other})


def test_a_variant_at_the_start_runs_the_whole_job_and_one_in_the_middle_what_is_left() -> None:
    whole = run_request(requested(), FairQueue(TENANT_TAG))
    assert whole.asset_selection is None
    assert whole.run_key == f"{UUID(int=1)}:7"
    rest = run_request(requested(start_stage="vlm_judge"), FairQueue(TENANT_TAG))
    assert [key.to_user_string() for key in rest.asset_selection or ()] == list(STAGE_NAMES[4:])


def test_variants_without_a_tenant_share_one_place_in_the_queue() -> None:
    queue = FairQueue(TENANT_TAG)
    assert [run_request(requested(tenant_id=None), queue).tags[TENANT_TAG] for _ in range(2)] == ["none", "none"]
    assert run_request(requested(), queue).tags[TENANT_TAG] == "cafe"


@pytest.mark.parametrize(
    ("step", "status", "starts"),
    [
        ("img_gen", "done", True),
        ("img_gen", "queued", False),
        ("img_gen", "running", False),
        ("vlm_analyze", "queued", True),
        ("planner", "queued", True),
        ("planner", "running", False),
        ("planner", "done", False),
        ("iou_eval", "done", False),
        ("overlay", "failed", False),
    ],
)
def test_only_some_changes_of_state_can_start_a_variant(step: str, status: str, starts: bool) -> None:
    assert may_be_startable(f'{{"current_step": "{step}", "status": "{status}"}}') is starts


@pytest.mark.parametrize("payload", ["", "what?", "[]", '"img_gen"', '{"status": "done"}', "null"])
def test_a_notification_that_says_nothing_means_to_look(payload: str) -> None:
    assert may_be_startable(payload)


def test_the_time_of_a_run_is_compared_in_utc(instance: dg.DagsterInstance) -> None:
    run = run_in(instance, Status.NOT_STARTED)
    assert [each.run_id for each in unfinished_runs(instance, datetime.now(UTC))] == [run.run_id]
