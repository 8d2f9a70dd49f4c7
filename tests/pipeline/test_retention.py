"""What the hourly job removes, and what it never does; on a real database and Dagster instance."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import dagster as dg
import pytest
from sqlalchemy import event

from resources.images import ImageStore
from resources.postgres.database import Database
from resources.settings import Settings
from stages.values import StageError
from testing.shop import work_through
from testing.studio import Studio
from variant_assets import retention
from variant_assets.retention import RetentionPolicy, remove_partitions, remove_pictures, remove_runs

NOW = datetime.now(UTC)
KEPT = RetentionPolicy(partition_days=30, partitions=9000, run_days=30, image_days=7)
PARTITIONS = "job_variants_id"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def in_days(days: int) -> datetime:
    return NOW + timedelta(days=days)


def complete(studio: Studio, db: Database, instance: dg.DagsterInstance) -> UUID:
    variant = studio.variant(studio.job())
    work_through(db, variant, "run")
    db.claims.complete(variant)
    instance.add_dynamic_partitions(PARTITIONS, [str(variant)])
    return variant


def run_of(instance: dg.DagsterInstance, variant: UUID, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    job = dg.GraphDefinition(name="variant_pipeline").to_job()
    return instance.create_run_for_job(job, tags={"dagster/partition": str(variant)}, status=status)


def test_a_partition_goes_when_its_variant_ended_long_ago(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = complete(studio, db, instance)
    assert remove_partitions(instance, db, KEPT, in_days(29)) == 0
    assert remove_partitions(instance, db, KEPT, in_days(31)) == 1
    assert instance.get_dynamic_partitions(PARTITIONS) == []
    assert studio.state_of(variant) == ("iou_eval", "done")


def test_a_partition_with_a_run_in_flight_is_not_removed(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    run_of(instance, complete(studio, db, instance), dg.DagsterRunStatus.STARTING)
    assert remove_partitions(instance, db, KEPT, in_days(365)) == 0


def test_the_partition_of_a_variant_that_has_not_ended_is_not_removed(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    work_through(db, variant, "run", last="ocr_eval")
    instance.add_dynamic_partitions(PARTITIONS, [str(variant)])
    none = RetentionPolicy(partition_days=1, partitions=0, run_days=1, image_days=1)
    assert remove_partitions(instance, db, none, in_days(365)) == 0


def test_the_partition_of_a_deleted_variant_goes_at_once_and_a_name_of_somebody_else_stays(
    db: Database, instance: dg.DagsterInstance
) -> None:
    instance.add_dynamic_partitions(PARTITIONS, [str(uuid4()), "by hand"])
    assert remove_partitions(instance, db, KEPT, NOW) == 1
    assert instance.get_dynamic_partitions(PARTITIONS) == ["by hand"]


def test_of_too_many_partitions_the_longest_ended_go(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    first, second, third = (complete(studio, db, instance) for _ in range(3))
    two = RetentionPolicy(partition_days=30, partitions=2, run_days=30, image_days=7)
    assert remove_partitions(instance, db, two, NOW) == 1
    assert set(instance.get_dynamic_partitions(PARTITIONS)) == {str(second), str(third)}
    assert first != second


def test_a_hundred_thousand_partitions_are_read_in_parts_and_removed_within_the_bound_of_a_pass(
    studio: Studio, db: Database
) -> None:
    studio.job()
    studio.execute(
        "WITH job AS (INSERT INTO jobs (tenant_id, current_step, status)"
        " SELECT 'cafe', 'iou_eval', 'done' FROM generate_series(1, 100000) RETURNING job_id)"
        " INSERT INTO jobs_variants (job_id, creation_order, current_step, status)"
        " SELECT job_id, 1, 'iou_eval', 'queued' FROM job"
    )
    studio.execute("ALTER TABLE jobs_variants DISABLE TRIGGER USER")
    studio.execute("UPDATE jobs_variants SET status = 'done'")
    studio.execute("ALTER TABLE jobs_variants ENABLE TRIGGER USER")
    keys = {str(key) for key in studio.table("SELECT job_variants_id, 1 FROM jobs_variants")}
    partitions = Partitions(keys)
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda _, __, statement, *___: statements.append(statement))
    assert remove_partitions(partitions, db, KEPT, in_days(31)) == 20_000  # type: ignore[arg-type]
    # Ten to read all keys, one for each part of those that go; in flight is asked as often.
    assert len(statements) == 10 + 20_000 / 500
    assert partitions.looks == 20_000 / 500
    assert len(partitions.keys) == 80_000


class Partitions:
    """As much of an instance as the removal of partitions uses, without runs."""

    def __init__(self, keys: set[str]) -> None:
        self.keys, self.looks = set(keys), 0

    def get_dynamic_partitions(self, _name: str) -> list[str]:
        return sorted(self.keys)

    def delete_dynamic_partition(self, _name: str, key: str) -> None:
        self.keys.remove(key)

    def get_run_records(self, _filters: dg.RunsFilter) -> list[dg.RunRecord]:
        self.looks += 1
        return []


def test_old_finished_runs_go_with_their_events_and_others_stay(instance: dg.DagsterInstance) -> None:
    old = run_of(instance, uuid4(), dg.DagsterRunStatus.SUCCESS)
    instance.report_engine_event("something", old)
    at_work = run_of(instance, uuid4(), dg.DagsterRunStatus.STARTED)
    assert remove_runs(instance, KEPT, in_days(29)) == 0
    assert remove_runs(instance, KEPT, in_days(31)) == 1
    assert instance.get_run_by_id(old.run_id) is None
    assert instance.all_logs(old.run_id) == []
    assert instance.get_run_by_id(at_work.run_id) is not None


def picture(studio: Studio, url: str, *, days_old: int) -> Path:
    path = studio.asset_root / url.removeprefix("/assets/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"a picture")
    written_s = (NOW - timedelta(days=days_old)).timestamp()
    os.utime(path, (written_s, written_s))
    return path


def test_pictures_that_nothing_refers_to_go_and_those_of_others_never(studio: Studio, db: Database) -> None:
    used, replaced, new, theirs = (
        picture(studio, f"/assets/{part}/tenants/cafe/ads/2026/01/01/{uuid4()}.png", days_old=days)
        for part, days in (("yh", 9), ("yh", 9), ("yh", 1), ("ye", 9))
    )
    studio.variant(studio.job(), image_url=f"/assets/{used.relative_to(studio.asset_root)}")
    assert remove_pictures(db, ImageStore(studio.asset_root), KEPT, NOW) == 1
    assert [path.exists() for path in (used, replaced, new, theirs)] == [True, False, True, True]


def test_what_a_killed_worker_has_left_of_a_picture_goes_after_an_hour(studio: Studio, db: Database) -> None:
    folder = "/assets/yh/tenants/cafe/final/2026/01/01"
    old = picture(studio, f"{folder}/.{uuid4()}.png.k2_x9a1b", days_old=1)
    new = picture(studio, f"{folder}/.{uuid4()}.png.k2_x9a1b", days_old=0)
    assert remove_pictures(db, ImageStore(studio.asset_root), KEPT, NOW) == 1
    assert (old.exists(), new.exists()) == (False, True)


def test_a_link_in_our_folder_is_not_followed(studio: Studio, db: Database, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    kept = outside / "picture.png"
    kept.write_bytes(b"theirs")
    os.utime(kept, (0, 0))
    (studio.asset_root / "yh").mkdir()
    (studio.asset_root / "yh" / "folder").symlink_to(outside)
    (studio.asset_root / "yh" / "picture.png").symlink_to(kept)
    assert remove_pictures(db, ImageStore(studio.asset_root), KEPT, NOW) == 0
    assert kept.exists()


def test_a_picture_of_another_part_cannot_be_removed(studio: Studio) -> None:
    with pytest.raises(StageError, match="belongs to another part"):
        ImageStore(studio.asset_root).remove("/assets/ye/tenants/cafe/x.png")


def test_the_job_runs(studio: Studio, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from resources.wiring import dagster_resources

    monkeypatch.setenv("DATABASE_URL", database_url)
    resources = {**dagster_resources(Settings(asset_root=studio.asset_root)), "retention_policy": KEPT}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(PARTITIONS, [str(uuid4())])
        definitions = dg.Definitions(jobs=[retention.retention], resources=resources)
        assert definitions.resolve_job_def("retention").execute_in_process(instance=instance).success
        assert instance.get_dynamic_partitions(PARTITIONS) == []
