"""A deleted job leaves nothing behind, on a real database and Dagster instance, searched from outside."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import dagster as dg
import pytest

from orchestration.removal import remove_details
from resources.images import ImageStore
from resources.postgres.database import Database
from resources.settings import Settings
from resources.wiring import dagster_resources
from testing.forking.mentions import record_backfill, record_tick
from testing.forking.runs import forking_instance
from testing.leftovers import files_naming, rows_naming
from testing.pipeline import Pipeline
from testing.shop import work_through
from testing.studio import Studio, photograph
from variant_assets.deletion import DeletionError, delete_job
from variant_assets.retention import RetentionPolicy, forget_deleted, remove_jobs

COPY = "오늘만 아메리카노 2,500원"
# Of rows, at the end of a run and when its details are removed; indexes make a fifth more of it.
MOST_BYTES, MOST_BYTES_LATER = 46_000, 32_000
PARTITIONS = "job_variants_id"


@pytest.fixture
def instance(studio: Studio, database_url: str, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's tables beside ours and what steps print in files, as the service has them."""
    studio.execute("CREATE SCHEMA dagster")
    (tmp_path / "dagster").mkdir()
    url = Settings(database_url=database_url).dagster_url
    config = {
        "compute_logs": {
            "module": "orchestration.compute_logs",
            "class": "FileComputeLogManager",
            "config": {"base_dir": str(tmp_path / "dagster")},
        }
    }
    with forking_instance(url, tmp_path / "dagster", config) as made:
        yield made


@pytest.fixture
def images(studio: Studio) -> ImageStore:
    return ImageStore(studio.asset_root)


@pytest.fixture
def stored_pipeline(
    studio: Studio, instance: dg.DagsterInstance, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Pipeline:
    monkeypatch.setenv("DATABASE_URL", database_url)
    return Pipeline(instance, dict(dagster_resources(Settings(asset_root=studio.asset_root))))


def all_pictures(images: ImageStore) -> list[str]:
    return sorted(images.own_before(datetime.now(UTC) + timedelta(days=1)))


def stored_bytes(studio: Studio) -> int:
    """What Dagster's rows take, without what is stored once for all runs."""
    tables = ["runs", "run_tags", "event_logs", "asset_event_tags", "asset_check_executions", "dynamic_partitions"]
    sums = " + ".join(f"(SELECT coalesce(sum(pg_column_size(t.*)), 0) FROM dagster.{table} t)" for table in tables)
    return int(studio.row(f"SELECT {sums}")[0])


def test_a_run_takes_little_of_dagsters_tables_and_each_thumbnail_is_stored_once(
    studio: Studio, stored_pipeline: Pipeline
) -> None:
    before = stored_bytes(studio)
    assert stored_pipeline.run(studio.ready_variant(studio.job(copy=COPY), photograph())).success
    with_picture = studio.table(
        "SELECT dagster_event_type, count(*) FROM dagster.event_logs WHERE event LIKE '%data:image%' GROUP BY 1"
    )
    assert with_picture == {"ASSET_MATERIALIZATION": 2}
    assert stored_bytes(studio) - before <= MOST_BYTES
    remove_details(stored_pipeline.instance, datetime.now(UTC) + timedelta(days=1))
    assert stored_bytes(studio) - before <= MOST_BYTES_LATER


def test_nothing_of_a_deleted_job_is_found_by_a_search_over_database_and_disk(
    studio: Studio,
    stored_pipeline: Pipeline,
    db: Database,
    images: ImageStore,
    database_url: str,
    tmp_path: Path,
) -> None:
    instance = stored_pipeline.instance
    job = studio.job(copy=COPY)
    variant = studio.ready_variant(job, photograph())
    assert stored_pipeline.run(variant).success
    # The ad is drawn again; the first one stays on disk and no row names it.
    studio.execute("UPDATE job_inputs SET desc_kor = '따뜻한 라떼' WHERE job_id = :j", j=job)
    assert stored_pipeline.run(variant, "overlay").success
    runs = [run.run_id for run in instance.get_runs()]
    record_tick(instance, str(variant), runs[0])
    record_backfill(instance, "backfill", [str(variant)])
    other = studio.ready_variant(studio.job(tenant="bar"), photograph(100))
    work_through(db, other, "other run")
    instance.add_dynamic_partitions(PARTITIONS, [str(other)])
    [theirs] = studio.row(
        "SELECT image_url FROM image_assets JOIN jobs_variants ON img_asset_id = image_asset_id"
        " WHERE job_variants_id = :v",
        v=variant,
    )
    assets = studio.table("SELECT CAST(image_asset_id AS text), 1 FROM image_assets WHERE job_id = :j", j=job)
    pictures = all_pictures(images)
    assert len(pictures) == 4
    searched = [str(job), str(variant), *runs, COPY, *assets, *(Path(url).stem for url in pictures)]
    assert len(rows_naming(database_url, searched)) > 50

    deletion = delete_job(instance, db, images, job)

    assert deletion is not None
    assert (deletion.variants, deletion.pictures, deletion.of_other_parts) == (1, 4, [theirs])
    assert rows_naming(database_url, searched) == []
    assert files_naming(tmp_path, searched) == []
    assert all_pictures(images) == []
    assert studio.state_of(other) == ("iou_eval", "running")
    assert instance.get_dynamic_partitions(PARTITIONS) == [str(other)]
    assert studio.load(theirs).shape == (480, 480, 3)


def run_of(instance: dg.DagsterInstance, variant: UUID, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    job = dg.GraphDefinition(name="variant_pipeline").to_job()
    return instance.create_run_for_job(job, tags={"dagster/partition": str(variant)}, status=status)


def test_the_rows_of_a_job_go_although_a_run_of_it_does_not_end_and_retention_removes_the_rest(
    studio: Studio, instance: dg.DagsterInstance, db: Database, images: ImageStore, database_url: str
) -> None:
    job = studio.job()
    variant = studio.variant(job)
    run = run_of(instance, variant, dg.DagsterRunStatus.STARTED)
    with pytest.raises(DeletionError, match=f"run {run.run_id} does not end; the hourly retention removes the rest"):
        delete_job(instance, db, images, job, ended_within_s=0.3)
    assert delete_job(instance, db, images, job) is None
    ending = instance.get_run_by_id(run.run_id)
    assert ending is not None
    assert ending.status is dg.DagsterRunStatus.CANCELING
    assert forget_deleted(instance, db, images) == 0
    instance.report_run_canceled(ending)
    assert forget_deleted(instance, db, images) == 1
    assert rows_naming(database_url, [str(variant), run.run_id]) == []


def test_what_is_left_of_a_job_that_somebody_deleted_with_sql_goes_at_the_next_retention(
    studio: Studio, instance: dg.DagsterInstance, db: Database, images: ImageStore, database_url: str
) -> None:
    job = studio.job()
    variant, kept = studio.variant(job), studio.variant(studio.job())
    run = run_of(instance, variant, dg.DagsterRunStatus.SUCCESS)
    run_of(instance, kept, dg.DagsterRunStatus.SUCCESS)
    instance.add_dynamic_partitions(PARTITIONS, [str(variant), str(kept), "by hand"])
    studio.execute("DELETE FROM jobs WHERE job_id = :j", j=job)
    assert forget_deleted(instance, db, images) == 1
    assert rows_naming(database_url, [str(variant), run.run_id]) == []
    assert set(instance.get_dynamic_partitions(PARTITIONS)) == {str(kept), "by hand"}
    assert instance.get_runs_count() == 1


def test_jobs_that_ended_long_ago_are_deleted_only_when_a_setting_says_so(
    studio: Studio, instance: dg.DagsterInstance, db: Database, images: ImageStore
) -> None:
    job, at_work = studio.job(), studio.job()
    for each, last in ((job, "iou_eval"), (at_work, "ocr_eval")):
        variant = studio.variant(each)
        work_through(db, variant, "run", last=last)
        if last == "iou_eval":
            db.claims.complete(variant)
    off, on = (
        RetentionPolicy(partition_days=1, partitions=9, run_days=1, image_days=1, job_days=days) for days in (None, 30)
    )
    now = datetime.now(UTC)
    assert remove_jobs(instance, db, images, off, now + timedelta(days=365)) == 0
    assert remove_jobs(instance, db, images, on, now + timedelta(days=29)) == 0
    assert remove_jobs(instance, db, images, on, now + timedelta(days=31)) == 1
    assert studio.table("SELECT job_id, status FROM jobs") == {at_work: "running"}


def test_a_job_that_does_not_exist_is_not_deleted(
    instance: dg.DagsterInstance, db: Database, images: ImageStore
) -> None:
    assert delete_job(instance, db, images, uuid4()) is None
