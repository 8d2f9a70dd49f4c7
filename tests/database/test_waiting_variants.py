"""What the sensor and the rescuer read."""

from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text

from resources.postgres.database import Database
from resources.postgres.values import RequestedVariant, RunOutcome
from stages.pipeline import STAGE_NAMES
from testing.shop import Shop, work_through


def requested(db: Database, *in_flight: UUID, sensor: str = "new_variants", most: int = 100) -> list[RequestedVariant]:
    return db.run_requests.request_startable(sensor, in_flight, most=most)


def waiting(db: Database, *in_flight: UUID) -> dict[UUID, str]:
    return {found.job_variants_id: found.start_stage for found in requested(db, *in_flight)}


@pytest.mark.parametrize(
    ("step", "status", "starts"),
    [
        ("img_gen", "done", True),
        ("vlm_analyze", "queued", True),
        ("img_gen", "queued", False),
        ("img_gen", "running", False),
        ("img_gen", "failed", False),
        ("overlay", "running", False),
        ("overlay", "failed", False),
        ("iou_eval", "running", False),
    ],
)
def test_which_new_variants_start(db: Database, shop: Shop, step: str, status: str, starts: bool) -> None:
    variant = shop.variant(shop.job(), step=step, status=status)
    assert waiting(db) == ({variant: "vlm_analyze"} if starts else {})


@pytest.mark.parametrize("stage", STAGE_NAMES[:-1])
def test_a_variant_done_at_a_stage_continues_with_the_next(db: Database, shop: Shop, stage: str) -> None:
    variant = shop.variant(shop.job())
    work_through(db, variant, "run", last=stage)
    assert waiting(db) == {variant: STAGE_NAMES[STAGE_NAMES.index(stage) + 1]}


def test_one_update_rewinds_a_complete_variant(db: Database, shop: Shop) -> None:
    variant = shop.variant(shop.job())
    work_through(db, variant, "run")
    db.claims.complete(variant)
    assert waiting(db) == {}
    shop.set_state(variant, "planner", "done")
    assert waiting(db) == {variant: "overlay"}


def test_a_stage_without_fresh_results_before_it_starts_at_the_first_that_is_missing(db: Database, shop: Shop) -> None:
    variant = shop.variant(shop.job())
    work_through(db, variant, "run", last="yolo_detect")
    shop.set_state(variant, "overlay", "done")
    assert waiting(db) == {variant: "planner"}


def test_a_variant_with_a_run_in_flight_is_left_out(db: Database, shop: Shop) -> None:
    job = shop.job()
    first, second = shop.variant(job), shop.variant(job)
    assert waiting(db, first) == {second: "vlm_analyze"}


def test_the_longest_waiting_come_first_and_no_more_than_asked_for(db: Database, shop: Shop) -> None:
    job = shop.job()
    variants = [shop.variant(job) for _ in range(5)]
    found = requested(db, most=3)
    assert [variant.job_variants_id for variant in found] == variants[:3]


def test_the_tenants_take_turns(db: Database, shop: Shop) -> None:
    big, small = shop.job(tenant="big"), shop.job(tenant="small")
    first, second, third = (shop.variant(big) for _ in range(3))
    theirs = shop.variant(small)
    assert [found.job_variants_id for found in requested(db)] == [first, theirs, second, third]


def test_the_same_sensor_may_request_a_state_again_and_another_only_after_a_while(db: Database, shop: Shop) -> None:
    variant = shop.variant(shop.job())
    [first] = requested(db)
    [again] = requested(db)
    assert again == replace(first, requested_before=True)
    assert requested(db, sensor="new_variants_2") == []
    shop.execute("UPDATE variant_requests SET requested_at = now() - interval '61 seconds'")
    [taken_over] = requested(db, sensor="new_variants_2")
    assert taken_over == again
    assert requested(db) == []
    assert shop.row("SELECT requested_by FROM variant_requests WHERE job_variants_id = :v", v=variant)[0] == (
        "new_variants_2"
    )


def test_a_state_written_anew_is_a_new_request_for_any_sensor(db: Database, shop: Shop) -> None:
    variant = shop.variant(shop.job())
    [first] = requested(db)
    db.run_requests.record_outcome(first, "ended")
    shop.set_state(variant, "img_gen", "done")
    [second] = requested(db, sensor="new_variants_2")
    assert second.state_revision > first.state_revision
    assert not second.requested_before
    # What is recorded for the state before does not concern this one.
    db.run_requests.record_outcome(first, "terminated")
    assert shop.row("SELECT run_outcome FROM variant_requests")[0] is None


@pytest.mark.parametrize("outcome", ["ended", "terminated"])
def test_a_state_that_had_its_run_is_not_requested_again_by_any_sensor(
    db: Database, shop: Shop, outcome: RunOutcome
) -> None:
    shop.variant(shop.job())
    [found] = requested(db)
    db.run_requests.record_outcome(found, outcome)
    shop.execute("UPDATE variant_requests SET requested_at = now() - interval '1 hour'")
    assert requested(db) == requested(db, sensor="new_variants_2") == []


def test_states_that_had_their_run_leave_their_places_to_others(db: Database, shop: Shop) -> None:
    job = shop.job()
    variants = [shop.variant(job) for _ in range(4)]
    for found in requested(db, most=2):
        db.run_requests.record_outcome(found, "terminated")
    assert [found.job_variants_id for found in requested(db, most=2)] == variants[2:]


def test_a_variant_between_two_stages_says_which_run_holds_it(db: Database, shop: Shop) -> None:
    variant = shop.variant(shop.job())
    assert requested(db)[0].held_by is None
    assert db.run_requests.held_variants([], most=9) == []
    work_through(db, variant, "run", last="overlay")
    [held] = db.run_requests.held_variants([], most=9)
    assert (held.job_variants_id, held.held_by, held.start_stage) == (variant, "run", "vlm_judge")
    assert requested(db)[0].held_by == "run"
    assert db.run_requests.held_variants([variant], most=9) == []
    shop.set_state(variant, "overlay", "done")
    assert db.run_requests.held_variants([], most=9) == []
    assert requested(db)[0].held_by is None


def unbegun(db: Database, *in_flight: UUID) -> list[UUID]:
    return [found.job_variants_id for found in db.run_requests.unbegun_variants(in_flight, most=9)]


def test_only_a_requested_variant_out_of_flight_whose_pause_is_over_may_be_requeued(db: Database, shop: Shop) -> None:
    variant = shop.variant(shop.job())
    backdate(shop, variant, minutes=2)
    assert unbegun(db) == []
    requested(db)
    assert unbegun(db) == [variant]
    assert unbegun(db, variant) == []
    shop.set_state(variant, "img_gen", "done")
    requested(db)
    assert unbegun(db) == []


def test_a_variant_whose_run_never_began_is_requeued_after_growing_pauses(db: Database, shop: Shop) -> None:
    variant = shop.variant(shop.job())
    [found] = requested(db)
    assert not db.run_requests.requeue(found)
    backdate(shop, variant, minutes=2)
    assert db.run_requests.requeue(found)
    assert not db.run_requests.requeue(found)
    [again] = requested(db)
    assert again.state_revision > found.state_revision
    assert not db.run_requests.requeue(again)
    pauses = "SELECT array_agg(extract(epoch FROM requeue_pause(n))::int ORDER BY n) FROM generate_series(0, 7) n"
    assert shop.row(pauses)[0] == [1, 4, 16, 64, 256, 1024, 4096, 4096]
    assert shop.state_of(variant) == ("img_gen", "done")


def test_a_variant_that_was_requeued_twice_is_not_taken_for_one_that_killed_two_workers(
    db: Database, shop: Shop
) -> None:
    variant = shop.variant(shop.job())
    for _ in range(2):
        [found] = requested(db)
        backdate(shop, variant, minutes=5)
        assert db.run_requests.requeue(found)
    db.claims.begin(variant, "vlm_analyze", "run")
    assert db.claims.recover(variant, "run") == "restarted"


def test_a_requeued_variant_is_requested_by_whichever_sensor_comes_first(db: Database, shop: Shop) -> None:
    variant = shop.variant(shop.job())
    [found] = requested(db)
    backdate(shop, variant, minutes=2)
    db.run_requests.requeue(found)
    assert [again.job_variants_id for again in requested(db, sensor="new_variants_2")] == [variant]
    assert requested(db) == []


def test_a_state_that_somebody_writes_begins_with_the_shortest_pause_again(db: Database, shop: Shop) -> None:
    variant = shop.variant(shop.job())
    for _ in range(3):
        [found] = requested(db)
        backdate(shop, variant, minutes=10)
        assert db.run_requests.requeue(found)
    shop.set_state(variant, "img_gen", "done")
    [found] = requested(db)
    backdate(shop, variant, minutes=2)
    assert db.run_requests.requeue(found)


def test_the_requests_of_variants_that_have_ended_are_removed(db: Database, shop: Shop) -> None:
    job = shop.job()
    ended, waits = shop.variant(job), shop.variant(job)
    requested(db)
    work_through(db, ended, "run")
    db.claims.complete(ended)
    assert db.run_requests.remove_past(most=9) == 1
    assert shop.table("SELECT job_variants_id, requested_by FROM variant_requests") == {waits: "new_variants"}
    assert db.run_requests.remove_past(most=9) == 0


def backdate(shop: Shop, variant: UUID, *, minutes: int) -> None:
    with shop.engine.begin() as connection:
        connection.execute(text("ALTER TABLE jobs_variants DISABLE TRIGGER stamp_variant"))
        connection.execute(
            text("UPDATE jobs_variants SET updated_at = now() - make_interval(mins => :m) WHERE job_variants_id = :v"),
            {"m": minutes, "v": variant},
        )
        connection.execute(text("ALTER TABLE jobs_variants ENABLE TRIGGER stamp_variant"))
