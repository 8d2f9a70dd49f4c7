"""What the database removes with a job, and what it keeps because others need it."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

from sqlalchemy import text

from resources.postgres.database import Database
from testing.shop import Shop, work_through


def images_of(shop: Shop, job: UUID) -> set[UUID]:
    return {
        UUID(str(image)) for image in shop.table("SELECT image_asset_id, 1 FROM image_assets WHERE job_id = :j", j=job)
    }


def test_a_job_goes_with_its_rows_and_the_pictures_that_nothing_names_any_more_are_told(
    shop: Shop, db: Database
) -> None:
    job, other = shop.job(), shop.job()
    variants = [shop.variant(job, image_url=f"/assets/ye/{number}.png") for number in range(3)]
    work_through(db, variants[0], "run")
    kept = shop.variant(other, image_url="/assets/ye/2.png")
    deleted = db.maintenance.delete_job(job)
    assert deleted is not None
    assert set(deleted.variants) == set(variants)
    assert set(deleted.pictures) == {
        *("/assets/ye/0.png", "/assets/ye/1.png"),
        *("/assets/yh/yolo_detect.png", "/assets/yh/planner.png", "/assets/yh/overlay.png"),
    }
    tables = ("vlm_traces", "detections", "yolo_runs", "planner_proposals", "overlay_layouts", "evaluations")
    for table in (*tables, "variant_requests"):
        assert shop.row(f"SELECT count(*) FROM {table}") == (0,), table
    assert shop.table("SELECT job_variants_id, job_id FROM jobs_variants") == {kept: other}
    assert shop.row("SELECT count(*) FROM job_inputs WHERE job_id = :j", j=job) == (0,)
    assert images_of(shop, job) == set()


def test_results_without_a_variant_go_with_the_job_or_the_image_that_they_name(shop: Shop, db: Database) -> None:
    job = shop.job()
    variant = shop.variant(job)
    shop.execute("INSERT INTO vlm_traces (job_id, is_current) VALUES (:j, false)", j=job)
    shop.execute("INSERT INTO detections (job_id) VALUES (:j)", j=job)
    shop.execute("INSERT INTO yolo_runs (job_id, is_current) VALUES (:j, false)", j=job)
    shop.execute(
        "WITH proposal AS (INSERT INTO planner_proposals (image_asset_id, is_current)"
        " SELECT img_asset_id, false FROM jobs_variants WHERE job_variants_id = :v RETURNING proposal_id),"
        " layout AS (INSERT INTO overlay_layouts (proposal_id, is_current) SELECT proposal_id, false FROM proposal"
        " RETURNING overlay_id) INSERT INTO evaluations (overlay_id, is_current) SELECT overlay_id, false FROM layout",
        v=variant,
    )
    assert db.maintenance.delete_job(job) is not None
    for table in ("vlm_traces", "detections", "yolo_runs", "planner_proposals", "overlay_layouts", "evaluations"):
        assert shop.row(f"SELECT count(*) FROM {table}") == (0,), table


def test_an_image_that_another_row_refers_to_stays_without_the_job(shop: Shop, db: Database) -> None:
    job, other = shop.job(), shop.job()
    shop.variant(job, image_url="/assets/ye/shared.png")
    [shared] = images_of(shop, job)
    shop.add_variants(other, [shared])
    shop.variant(job, image_url="/assets/ye/posted.png")
    [posted] = images_of(shop, job) - {shared}
    shop.execute("CREATE TABLE instagram_feeds (image uuid REFERENCES image_assets (image_asset_id))")
    shop.execute("INSERT INTO instagram_feeds VALUES (:i)", i=posted)
    deleted = db.maintenance.delete_job(job)
    assert deleted is not None
    assert deleted.pictures == []
    assert shop.table("SELECT image_asset_id, job_id FROM image_assets") == {shared: None, posted: None}


def test_a_writer_of_variants_who_then_writes_the_job_meets_no_deadlock_with_a_deletion(
    shop: Shop, db: Database
) -> None:
    job = shop.job()
    variant = shop.variant(job)
    with ThreadPoolExecutor(1) as deleting, shop.engine.begin() as writer:
        writer.execute(text("UPDATE jobs_variants SET selected = true WHERE job_variants_id = :v"), {"v": variant})
        deleted = deleting.submit(db.maintenance.delete_job, job)
        # The deletion holds the job and waits for the variant.
        time.sleep(0.1)
        writer.execute(text("UPDATE jobs SET version = '2' WHERE job_id = :j"), {"j": job})
        writer.commit()
        assert deleted.result(timeout=10) is not None
    assert shop.row("SELECT count(*) FROM jobs") == (0,)


def test_there_is_nothing_to_delete_where_there_is_no_job(shop: Shop, db: Database) -> None:
    assert db.maintenance.delete_job(uuid4()) is None
