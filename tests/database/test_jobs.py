"""When a job is complete, failed, or neither."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from resources.postgres.database import Database
from testing.shop import Shop, work_through

SERIALIZATION_FAILURE = "40001"


def finish(db: Database, variant: UUID, run: str = "run") -> None:
    work_through(db, variant, run)
    db.claims.complete(variant)


def fail(db: Database, variant: UUID, run: str = "bad") -> None:
    db.claims.begin(variant, "vlm_analyze", run)
    db.claims.fail(variant, "vlm_analyze", run, "no ad copy", final=True)


def test_generated_images_alone_do_not_complete_a_job(shop: Shop) -> None:
    job = shop.job()
    for _ in range(3):
        shop.variant(job, step="img_gen", status="done")
    assert shop.job_state(job) == ("vlm_analyze", "running")


def test_the_last_variant_completes_the_job(db: Database, shop: Shop) -> None:
    job = shop.job()
    variants = [shop.variant(job) for _ in range(3)]
    for variant in variants[:2]:
        finish(db, variant)
    assert shop.job_state(job) == ("vlm_analyze", "running")
    finish(db, variants[2])
    assert shop.job_state(job) == ("iou_eval", "done")


@pytest.mark.parametrize(("step", "status"), [("img_gen", "running"), ("img_gen", "done"), (None, "queued")])
def test_a_job_not_handed_over_is_left_alone_and_settles_at_the_hand_over(
    db: Database, shop: Shop, step: str, status: str
) -> None:
    job = shop.job(step=step, status=status)
    finish(db, shop.variant(job))
    assert shop.job_state(job) == (step, status)
    assert db.maintenance.unsettled_jobs(most=10) == []
    shop.execute("UPDATE jobs SET current_step = 'vlm_analyze', status = 'running' WHERE job_id = :j", j=job)
    assert db.maintenance.unsettled_jobs(most=10) == [job]
    db.maintenance.settle_job(job)
    assert shop.job_state(job) == ("iou_eval", "done")
    assert db.maintenance.unsettled_jobs(most=10) == []


def test_a_job_that_js_has_taken_on_is_left_alone(db: Database, shop: Shop) -> None:
    job = shop.job()
    variant = shop.variant(job)
    finish(db, variant)
    shop.execute("UPDATE jobs SET current_step = 'ab_vote', status = 'running' WHERE job_id = :j", j=job)
    finish(db, variant, "again")
    assert shop.job_state(job) == ("ab_vote", "running")


def test_one_failed_variant_fails_the_job_when_all_have_ended(db: Database, shop: Shop) -> None:
    job = shop.job()
    first, second = shop.variant(job), shop.variant(job)
    fail(db, first)
    assert shop.job_state(job) == ("vlm_analyze", "running")
    finish(db, second)
    assert shop.job_state(job)[1] == "failed"


def test_a_failed_job_is_done_when_the_failed_variant_runs_well(db: Database, shop: Shop) -> None:
    job = shop.job()
    good, bad = shop.variant(job), shop.variant(job)
    finish(db, good)
    fail(db, bad)
    assert shop.job_state(job)[1] == "failed"
    finish(db, bad, "again")
    assert shop.job_state(job) == ("iou_eval", "done")


def test_a_variant_that_failed_at_its_image_counts(db: Database, shop: Shop) -> None:
    job = shop.job()
    finish(db, shop.variant(job))
    shop.variant(job, step="img_gen", status="failed")
    assert shop.job_state(job)[1] == "failed"


def test_a_done_job_stays_done_while_a_variant_runs_again_and_fails_only_with_it(db: Database, shop: Shop) -> None:
    job = shop.job()
    variant = shop.variant(job)
    finish(db, variant)
    db.claims.begin(variant, "overlay", "again")
    assert shop.job_state(job) == ("iou_eval", "done")
    db.claims.fail(variant, "overlay", "again", "the font is gone", final=True)
    assert shop.job_state(job)[1] == "failed"


def test_a_late_variant_leaves_a_done_job_done(db: Database, shop: Shop) -> None:
    job = shop.job()
    finish(db, shop.variant(job))
    late = shop.variant(job, status="queued")
    assert shop.job_state(job) == ("iou_eval", "done")
    shop.set_state(late, "img_gen", "done")
    finish(db, late)
    assert shop.job_state(job) == ("iou_eval", "done")


def test_a_variant_removed_after_the_others_ended_leaves_a_job_the_rescuer_finds(db: Database, shop: Shop) -> None:
    job = shop.job()
    finish(db, shop.variant(job))
    lost = shop.variant(job, status="queued")
    shop.execute("UPDATE jobs SET status = 'running' WHERE job_id = :j", j=job)
    shop.execute("DELETE FROM jobs_variants WHERE job_variants_id = :v", v=lost)
    assert db.maintenance.unsettled_jobs(most=10) == [job]


def test_settling_many_times_is_settling_once(db: Database, shop: Shop) -> None:
    job = shop.job()
    finish(db, shop.variant(job))
    before = shop.row("SELECT updated_at FROM jobs WHERE job_id = :j", j=job)
    assert len({db.maintenance.settle_job(job) for _ in range(5)}) == 1
    assert shop.row("SELECT updated_at FROM jobs WHERE job_id = :j", j=job) == before


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_three_variants_that_finish_in_the_same_moment_complete_the_job_every_time(
    db: Database, shop: Shop, database_url: str, isolation: str
) -> None:
    rounds = 25
    engine = create_engine(database_url, pool_size=3, isolation_level=isolation)
    for _ in range(rounds):
        job = shop.job()
        variants = [shop.variant(job) for _ in range(3)]
        for variant in variants:
            work_through(db, variant, "run")
        complete_together(engine, variants)
        for variant in variants:
            db.claims.complete(variant)
        assert shop.job_state(job) == ("iou_eval", "done")
    engine.dispose()


def complete_together(engine: Engine, variants: list[UUID]) -> None:
    """All transactions are open, and have a snapshot, before any of them completes its variant."""
    together = Barrier(len(variants))

    def complete(variant: UUID) -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT count(*) FROM jobs"))
            together.wait(timeout=20)
            try:
                connection.execute(text("SELECT complete_variant(:v)"), {"v": variant})
                connection.commit()
            except OperationalError as error:
                # A stricter isolation than ours may refuse; its caller repeats the call.
                if getattr(error.orig, "pgcode", None) != SERIALIZATION_FAILURE:
                    raise

    with ThreadPoolExecutor(len(variants)) as pool:
        list(pool.map(complete, variants))


def test_three_variants_complete_the_job_at_once_without_any_repetition(
    db: Database, shop: Shop, database_url: str
) -> None:
    engine = create_engine(database_url, pool_size=3)
    for _ in range(40):
        job = shop.job()
        variants = [shop.variant(job) for _ in range(3)]
        for variant in variants:
            work_through(db, variant, "run")
        complete_together(engine, variants)
        assert shop.job_state(job) == ("iou_eval", "done")
    engine.dispose()
