"""What the sensor and the rescuer read."""

from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from resources.postgres.database import Database
from stages.pipeline import STAGE_NAMES
from testing.shop import Shop, work_through


def waiting(db: Database, *in_flight: UUID) -> dict[UUID, str]:
    return {found.job_variants_id: found.start_stage for found in db.run_requests.startable(in_flight, most=100)}


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
        ("iou_eval", "done", False),
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
    found = db.run_requests.startable([], most=3)
    assert [variant.job_variants_id for variant in found] == variants[:3]


def test_the_read_uses_the_index_of_waiting_variants_whatever_the_history(
    db: Database, shop: Shop, engine: Engine
) -> None:
    job = shop.job()
    shop.execute(
        "INSERT INTO jobs_variants (job_id, creation_order, current_step, status)"
        " SELECT :j, n, 'iou_eval', 'done' FROM generate_series(1, 5000) n", j=job,
    )  # fmt: skip
    shop.variant(job)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE jobs_variants"))
        explained = "\n".join(
            connection.execute(
                text(
                    "EXPLAIN SELECT * FROM jobs_variants v WHERE ((v.status = 'done' AND v.current_step <> 'iou_eval')"
                    " OR (v.status = 'queued' AND v.current_step <> 'img_gen')) ORDER BY v.state_revision LIMIT 100"
                )
            ).scalars()
        )
    assert "idx_jobs_variants_startable" in explained


def test_a_variant_whose_run_never_began_is_asked_for_again_after_growing_pauses(db: Database, shop: Shop) -> None:
    variant = shop.variant(shop.job())
    [found] = db.run_requests.startable([], most=1)
    assert not db.run_requests.requeue(variant, found.state_revision)
    backdate(shop, variant, minutes=2)
    assert db.run_requests.requeue(variant, found.state_revision)
    assert not db.run_requests.requeue(variant, found.state_revision)
    [again] = db.run_requests.startable([], most=1)
    assert again.state_revision > found.state_revision
    backdate(shop, variant, minutes=1)
    assert not db.run_requests.requeue(variant, again.state_revision)
    assert shop.state_of(variant) == ("img_gen", "done")


def backdate(shop: Shop, variant: UUID, *, minutes: int) -> None:
    with shop.engine.begin() as connection:
        connection.execute(text("ALTER TABLE jobs_variants DISABLE TRIGGER stamp_variant"))
        connection.execute(
            text("UPDATE jobs_variants SET updated_at = now() - make_interval(mins => :m) WHERE job_variants_id = :v"),
            {"m": minutes, "v": variant},
        )
        connection.execute(text("ALTER TABLE jobs_variants ENABLE TRIGGER stamp_variant"))
