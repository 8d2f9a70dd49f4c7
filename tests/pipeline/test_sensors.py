"""The sensors new_variants and rescuer against a real database and a Dagster instance of their own."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import dagster as dg
import pytest
import yaml
from sqlalchemy.exc import OperationalError

from resources.postgres.database import Database
from resources.settings import PROJECT
from sensors.new_variants import request_waiting_variants
from sensors.rescuer import rescuer
from stages.pipeline import STAGE_NAMES
from testing.shop import work_through
from testing.studio import Studio
from testing.waiting import until
from variant_assets.recovery import end_or_requeue_unbegun, recover_left_running
from variant_assets.runs import variants_in_flight

NOW = datetime.now(UTC)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def tick(instance: dg.DagsterInstance, db: Database) -> dg.SensorResult:
    return request_waiting_variants(instance, db, "new_variants")


def rescued(instance: dg.DagsterInstance, db: Database) -> str:
    said = rescuer(dg.build_sensor_context(instance=instance, resources={"db": db}))
    assert isinstance(said, dg.SkipReason)
    return str(said.skip_message)


def requested(result: dg.SensorResult) -> dict[UUID, list[str]]:
    """The stages asked for of each variant; a request that selects none asks for the whole job."""
    return {
        UUID(request.partition_key): [key.to_user_string() for key in request.asset_selection]
        if request.asset_selection
        else list(STAGE_NAMES)
        for request in result.run_requests or ()
    }


def run_of(instance: dg.DagsterInstance, variant: UUID, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
    return instance.create_run_for_job(
        dg.GraphDefinition(name="variant_pipeline").to_job(),
        tags={"dagster/partition": str(variant), **tags},
        status=status,
    )


def test_all_waiting_variants_start_in_one_tick_with_their_partitions(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    job = studio.job(tenant="cafe")
    variants = [studio.variant(job) for _ in range(3)]
    result = tick(instance, db)
    assert requested(result) == {variant: list(STAGE_NAMES) for variant in variants}
    [added] = result.dynamic_partitions_requests or ()
    assert set(added.partition_keys) == {str(variant) for variant in variants}
    request = (result.run_requests or ())[0]
    assert request.tags["job_variants/job_id"] == str(job)
    assert request.tags["job_variants/tenant_id"] == "cafe"


def test_a_variant_in_the_middle_starts_at_its_next_stage(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    work_through(db, variant, "run", last="planner")
    assert requested(tick(instance, db)) == {variant: list(STAGE_NAMES[3:])}


def test_the_same_state_seen_twice_has_the_same_run_key_and_a_new_state_another(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    keys = [(tick(instance, db).run_requests or ())[0].run_key for _ in range(2)]
    studio.set_state(variant, "img_gen", "done")
    keys.append((tick(instance, db).run_requests or ())[0].run_key)
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("status", "starts"),
    [
        (dg.DagsterRunStatus.STARTING, False),
        (dg.DagsterRunStatus.STARTED, False),
        (dg.DagsterRunStatus.CANCELING, False),
        (dg.DagsterRunStatus.SUCCESS, True),
        (dg.DagsterRunStatus.FAILURE, True),
    ],
)
def test_a_run_in_flight_keeps_its_variant_from_starting_again(
    studio: Studio, db: Database, instance: dg.DagsterInstance, status: dg.DagsterRunStatus, starts: bool
) -> None:
    variant = studio.variant(studio.job())
    run_of(instance, variant, status)
    assert (variant in requested(tick(instance, db))) is starts


@pytest.mark.parametrize(("requested_by_a_sensor", "starts"), [(True, False), (False, True)])
def test_behind_many_requested_runs_variants_wait_in_the_table_but_not_behind_runs_of_people(
    studio: Studio,
    db: Database,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    requested_by_a_sensor: bool,
    starts: bool,
) -> None:
    monkeypatch.setattr("sensors.new_variants.MOST_IN_FLIGHT", 1)
    in_flight, waiting = studio.variant(studio.job()), studio.variant(studio.job())
    tags = {"dagster/sensor_name": "new_variants"} if requested_by_a_sensor else {}
    run = run_of(instance, in_flight, dg.DagsterRunStatus.STARTED, **tags)
    assert (waiting in requested(tick(instance, db))) is starts
    instance.report_run_canceled(run)
    assert starts or waiting in requested(tick(instance, db))


def test_nothing_waiting_is_said_so(db: Database, instance: dg.DagsterInstance) -> None:
    reason = tick(instance, db).skip_reason
    assert reason is not None
    assert reason.skip_message == "No variant waits."


def test_a_failed_read_is_an_error_and_not_nothing_to_do(instance: dg.DagsterInstance) -> None:
    unreachable = Database("postgresql+psycopg2://nobody@127.0.0.1:9/nowhere")
    with pytest.raises(OperationalError, match="refused"):
        tick(instance, unreachable)


def test_a_late_hand_over_is_settled_by_the_rescuer(studio: Studio, db: Database, instance: dg.DagsterInstance) -> None:
    job = studio.job(step="img_gen", status="done")
    variant = studio.variant(job)
    work_through(db, variant, "run")
    db.claims.complete(variant)
    studio.execute("UPDATE jobs SET current_step = 'vlm_analyze', status = 'running'")
    assert rescued(instance, db) == f"job {job} is done"
    assert studio.job_state(job) == ("iou_eval", "done")
    assert rescued(instance, db) == "Nothing was left behind."


def recovered(studio: Studio, db: Database, instance: dg.DagsterInstance, variant: UUID) -> tuple[str, str]:
    recover_left_running(db, instance, unknown_for_s=0)
    return studio.state_of(variant)


def left_in_planner(studio: Studio, db: Database, instance: dg.DagsterInstance) -> UUID:
    """A variant whose run has ended in the middle of its planner."""
    variant = studio.variant(studio.job())
    run = run_of(instance, variant, dg.DagsterRunStatus.FAILURE)
    work_through(db, variant, run.run_id, last="yolo_detect")
    db.claims.begin(variant, "planner", run.run_id)
    return variant


def test_a_stage_whose_run_failed_without_a_word_starts_again(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = left_in_planner(studio, db, instance)
    assert recovered(studio, db, instance, variant) == ("yolo_detect", "done")


def test_a_stage_with_a_live_run_is_left_alone(studio: Studio, db: Database, instance: dg.DagsterInstance) -> None:
    variant = studio.variant(studio.job())
    db.claims.begin(variant, "vlm_analyze", run_of(instance, variant, dg.DagsterRunStatus.STARTED).run_id)
    assert recovered(studio, db, instance, variant) == ("vlm_analyze", "running")


def test_a_stage_that_a_run_unknown_here_only_just_began_is_left_alone(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    db.claims.begin(variant, "vlm_analyze", "a-run-dagster-does-not-know")
    assert recover_left_running(db, instance) == []


def test_a_run_that_an_earlier_release_meant_to_retry_is_not_waited_for(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    run = run_of(instance, variant, dg.DagsterRunStatus.FAILURE, **{"dagster/will_retry": "true"})
    db.claims.begin(variant, "vlm_analyze", run.run_id)
    assert recovered(studio, db, instance, variant) == ("img_gen", "done")


def test_dagster_itself_starts_no_run_again() -> None:
    assert yaml.safe_load((PROJECT / "dagster.yaml").read_text())["run_retries"] == {"enabled": False}


def test_the_look_that_finds_a_dead_worker_requests_its_variant_at_once(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = left_in_planner(studio, db, instance)
    assert requested(tick(instance, db)) == {variant: list(STAGE_NAMES[2:])}


def test_a_run_that_died_before_its_first_stage_is_replaced_within_two_looks(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    key = str((tick(instance, db).run_requests or ())[0].run_key)
    run_of(instance, variant, dg.DagsterRunStatus.FAILURE, **{"dagster/run_key": key})
    time.sleep(1.05)
    [again] = tick(instance, db).run_requests or ()
    assert again.run_key != key


def test_a_terminated_run_ends_its_variant_visibly(studio: Studio, db: Database, instance: dg.DagsterInstance) -> None:
    job = studio.job()
    variant = studio.variant(job)
    run = run_of(instance, variant, dg.DagsterRunStatus.CANCELED)
    db.claims.begin(variant, "vlm_analyze", run.run_id)
    assert recovered(studio, db, instance, variant) == ("vlm_analyze", "failed")
    assert "was terminated at stage vlm_analyze" in str(studio.error(variant))
    assert studio.job_state(job)[1] == "failed"


def test_a_run_terminated_between_two_stages_is_not_started_again_and_ends_its_variant(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    run = run_of(instance, variant, dg.DagsterRunStatus.CANCELED)
    work_through(db, variant, run.run_id, last="overlay")
    assert requested(tick(instance, db)) == {}
    assert studio.state_of(variant) == ("vlm_judge", "failed")
    assert "was terminated at stage vlm_judge" in str(studio.error(variant))


def test_a_variant_moved_after_its_run_was_terminated_starts_where_it_was_moved_to(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    run = run_of(instance, variant, dg.DagsterRunStatus.CANCELED)
    work_through(db, variant, run.run_id, last="overlay")
    studio.set_state(variant, "yolo_detect", "done")
    assert rescued(instance, db) == "Nothing was left behind."
    assert requested(tick(instance, db)) == {variant: list(STAGE_NAMES[2:])}


def test_a_variant_left_before_its_check_is_completed(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    job = studio.job()
    variant = studio.variant(job)
    work_through(db, variant, run_of(instance, variant, dg.DagsterRunStatus.FAILURE).run_id)
    assert recovered(studio, db, instance, variant) == ("iou_eval", "done")
    assert studio.job_state(job) == ("iou_eval", "done")


def long_waiting(studio: Studio, minutes: int = 5) -> UUID:
    variant = studio.variant(studio.job())
    studio.execute("ALTER TABLE jobs_variants DISABLE TRIGGER stamp_variant")
    studio.execute("UPDATE jobs_variants SET updated_at = now() - make_interval(mins => :m)", m=minutes)
    studio.execute("ALTER TABLE jobs_variants ENABLE TRIGGER stamp_variant")
    return variant


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (dg.DagsterRunStatus.FAILURE, ("img_gen", "done")),
        (dg.DagsterRunStatus.CANCELED, ("vlm_analyze", "failed")),
        (dg.DagsterRunStatus.STARTING, ("img_gen", "done")),
        (None, ("img_gen", "done")),
    ],
)
def test_a_variant_whose_run_never_began_is_requeued_or_failed_if_an_operator_terminated_it(
    studio: Studio,
    db: Database,
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus | None,
    state: tuple[str, str],
) -> None:
    variant = long_waiting(studio)
    key = (tick(instance, db).run_requests or ())[0].run_key
    if status is not None:
        run_of(instance, variant, status, **{"dagster/run_key": str(key)})
    done = end_or_requeue_unbegun(db, instance, variants_in_flight(instance, NOW))
    assert bool(done) is (status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED))
    assert studio.state_of(variant) == state


def test_a_job_whose_only_queued_run_is_terminated_fails_with_the_reason(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    job = studio.job()
    variant = studio.variant(job)
    key = str((tick(instance, db).run_requests or ())[0].run_key)
    run = run_of(instance, variant, dg.DagsterRunStatus.CANCELED, **{"dagster/run_key": key})
    until("the variant ends", lambda: "was terminated" in rescued(instance, db), every_s=0.2)
    assert studio.job_state(job)[1] == "failed"
    assert studio.error(variant) == (
        f"run {run.run_id} was terminated at stage vlm_analyze; materialize vlm_analyze to go on"
    )
    assert requested(tick(instance, db)) == {}


@pytest.mark.parametrize(
    ("status", "requeued"), [(dg.DagsterRunStatus.NOT_STARTED, True), (dg.DagsterRunStatus.STARTING, False)]
)
def test_a_run_that_was_not_in_flight_a_moment_ago_is_given_up_only_if_it_was_never_submitted(
    studio: Studio, db: Database, instance: dg.DagsterInstance, status: dg.DagsterRunStatus, requeued: bool
) -> None:
    variant = long_waiting(studio)
    key = (tick(instance, db).run_requests or ())[0].run_key
    run_of(instance, variant, status, **{"dagster/run_key": str(key)})
    assert end_or_requeue_unbegun(db, instance, in_flight=set()) == (
        [f"variant {variant} at vlm_analyze: its run is requested again"] if requeued else []
    )


def test_a_run_that_was_created_but_never_submitted_does_not_block_its_variant_for_ever(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    run_of(instance, variant, dg.DagsterRunStatus.NOT_STARTED)
    now = datetime.now(UTC)
    assert variants_in_flight(instance, now) == {variant}
    assert variants_in_flight(instance, now + timedelta(minutes=2)) == set()


def test_the_rescuer_says_what_it_did(studio: Studio, db: Database, instance: dg.DagsterInstance) -> None:
    variant = studio.variant(studio.job())
    db.claims.begin(variant, "vlm_analyze", "lost")
    assert recover_left_running(db, instance, unknown_for_s=0) == [f"variant {variant} at vlm_analyze: restarted"]
