"""When a job is complete, failed, or neither."""

from uuid import UUID

import pytest
from sqlalchemy.exc import DatabaseError

from resources.postgres.database import Database
from resources.postgres.values import UnfinishedJob
from testing.shop import Shop, work_through


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


def test_a_late_variant_that_fails_fails_the_job_until_it_is_mended(db: Database, shop: Shop) -> None:
    job = shop.job()
    finish(db, shop.variant(job))
    late = shop.variant(job)
    fail(db, late)
    assert shop.job_state(job) == ("iou_eval", "failed")
    finish(db, late, "again")
    assert shop.job_state(job) == ("iou_eval", "done")


def test_a_done_job_says_how_many_of_its_variants_are_complete(db: Database, shop: Shop) -> None:
    job = shop.job()
    for _ in range(2):
        finish(db, shop.variant(job))
    assert db.maintenance.unfinished_done_jobs(most=9) == []
    first_late, _second_late = shop.variant(job), shop.variant(job, status="queued")
    work_through(db, first_late, "run")
    progress = db.claims.complete(first_late)
    assert (progress.complete, progress.total, progress.job_status) == (3, 4, "done")
    assert db.maintenance.unfinished_done_jobs(most=9) == [UnfinishedJob(job, complete=3, failed=0, total=4)]


@pytest.mark.parametrize("last", ["complete", "delete"])
def test_a_job_is_done_when_its_failed_variant_is_deleted(db: Database, shop: Shop, last: str) -> None:
    job = shop.job()
    good, bad = shop.variant(job), shop.variant(job)
    fail(db, bad)
    for step in ("complete", "delete") if last == "delete" else ("delete", "complete"):
        if step == "complete":
            finish(db, good)
        else:
            shop.execute("DELETE FROM jobs_variants WHERE job_variants_id = :v", v=bad)
    assert shop.job_state(job) == ("iou_eval", "done")


def test_a_job_is_done_when_the_variant_it_waited_for_is_deleted(db: Database, shop: Shop) -> None:
    job = shop.job()
    finish(db, shop.variant(job))
    lost = shop.variant(job, status="queued")
    shop.hand_over(job)
    shop.execute("DELETE FROM jobs_variants WHERE job_variants_id = :v", v=lost)
    assert shop.job_state(job) == ("iou_eval", "done")


def test_a_job_that_is_handed_over_without_a_status_is_settled(db: Database, shop: Shop) -> None:
    first, second = shop.job(), shop.job(step="img_gen")
    variants = [shop.variant(job) for job in (first, second)]
    shop.execute("UPDATE jobs SET status = NULL")
    for variant in variants:
        finish(db, variant)
    assert shop.job_state(first) == ("iou_eval", "done")
    shop.execute("UPDATE jobs SET current_step = 'vlm_analyze' WHERE job_id = :j", j=second)
    assert db.maintenance.unsettled_jobs(most=9) == [second]
    db.maintenance.settle_job(second)
    assert shop.job_state(second) == ("iou_eval", "done")


def test_a_job_that_is_handed_over_twice_is_done_again(db: Database, shop: Shop) -> None:
    jobs = [shop.job() for _ in range(3)]
    for job in jobs:
        finish(db, shop.variant(job))
    assert db.maintenance.unsettled_jobs(most=9) == []
    for job in jobs:
        shop.hand_over(job)
    assert set(db.maintenance.unsettled_jobs(most=9)) == set(jobs)
    for job in jobs:
        db.maintenance.settle_job(job)
    assert {shop.job_state(job) for job in jobs} == {("iou_eval", "done")}


def test_nobody_completes_a_variant_by_hand_that_has_no_ad(db: Database, shop: Shop) -> None:
    job = shop.job()
    finish(db, shop.variant(job))
    variant = shop.variant(job)
    work_through(db, variant, "run", last="planner")
    shop.hand_over(job)
    with pytest.raises(DatabaseError, match=r"its result of overlay is missing or not fresh(.|\n)*\(planner, done\)"):
        shop.set_state(variant, "iou_eval", "done")
    with pytest.raises(DatabaseError, match="its result of vlm_analyze is missing"):
        shop.variant(job, step="iou_eval", status="done")
    assert shop.job_state(job) == ("vlm_analyze", "running")
    work_through(db, variant, "run", first="overlay")
    shop.set_state(variant, "iou_eval", "done")
    assert shop.job_state(job) == ("iou_eval", "done")


def test_settling_many_times_is_settling_once(db: Database, shop: Shop) -> None:
    job = shop.job()
    finish(db, shop.variant(job))
    before = shop.row("SELECT updated_at FROM jobs WHERE job_id = :j", j=job)
    assert len({db.maintenance.settle_job(job) for _ in range(5)}) == 1
    assert shop.row("SELECT updated_at FROM jobs WHERE job_id = :j", j=job) == before
