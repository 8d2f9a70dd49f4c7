"""The folder of the pictures is away, empty, full or read-only: no variant fails for it, and all go on afterwards."""

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from resources import images as images_module
from resources.images import ImageStore
from resources.postgres.claims import Claims
from resources.postgres.database import Database
from resources.store_trouble import store_trouble
from sensors.new_variants import request_waiting_variants
from testing.pipeline import Pipeline, failure_text
from testing.studio import Studio, photograph
from variant_assets import stage_run


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_run, "ORDER_AWAITED_S", 0.0)
    monkeypatch.setattr(stage_run, "_LOOKS_EVERY_S", 0.02)


def no_room(path: Path, *_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


def away(root: Path) -> None:
    root.rename(root.with_name("elsewhere"))


def empty(root: Path) -> None:
    away(root)
    root.mkdir()


@pytest.mark.parametrize("trouble", [away, empty])
def test_a_variant_whose_store_is_away_waits_and_is_done_when_it_is_back(
    studio: Studio, pipeline: Pipeline, db: Database, trouble: Callable[[Path], None]
) -> None:
    job = studio.job()
    variant = studio.ready_variant(job, photograph())
    trouble(studio.asset_root)
    result = pipeline.run(variant, images=ImageStore(studio.asset_root))
    assert "the variant waits until it is in order" in failure_text(result)
    assert studio.state_of(variant) == ("img_gen", "done")
    assert str(studio.asset_root) in str(studio.error(variant))
    assert studio.row("SELECT retry_count FROM jobs_variants")[0] == 0
    shutil.rmtree(studio.asset_root, ignore_errors=True)
    studio.asset_root.with_name("elsewhere").rename(studio.asset_root)
    assert pipeline.run(variant, images=ImageStore(studio.asset_root)).success
    assert studio.job_state(job) == ("iou_eval", "done")


def test_a_run_waits_for_a_store_that_is_away_for_a_moment(
    studio: Studio, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_run, "ORDER_AWAITED_S", 10.0)
    variant = studio.ready_variant(studio.job(), photograph())
    away(studio.asset_root)
    threading.Timer(0.5, studio.asset_root.with_name("elsewhere").rename, [studio.asset_root]).start()
    assert pipeline.run(variant, images=ImageStore(studio.asset_root)).success


def test_a_full_disk_is_not_charged_to_the_variant(
    studio: Studio, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    with monkeypatch.context() as full:
        full.setattr(images_module, "write_file", no_room)
        assert "No space left" in failure_text(pipeline.run(variant, images=ImageStore(studio.asset_root)))
    assert studio.state_of(variant) == ("vlm_analyze", "done")
    assert pipeline.run(variant, images=ImageStore(studio.asset_root)).success


def test_a_database_that_fails_at_every_try_is_not_charged_to_the_variant(
    studio: Studio, pipeline: Pipeline, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = studio.job()
    variant = studio.ready_variant(job, photograph())

    def lost(*_: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("server closed the connection unexpectedly"))

    with monkeypatch.context() as away_for_long:
        away_for_long.setattr(Claims, "finish", lost)
        assert "the database failed: server closed" in failure_text(pipeline.run(variant))
    assert studio.state_of(variant) == ("img_gen", "done")
    assert studio.row("SELECT retry_count FROM jobs_variants")[0] == 0
    assert pipeline.run(variant).success
    assert studio.job_state(job) == ("iou_eval", "done")


def test_a_missing_image_in_a_store_that_is_in_order_fails_its_variant(studio: Studio, pipeline: Pipeline) -> None:
    studio.ready_variant(studio.job(), photograph())
    missing = studio.ready_variant(studio.job())
    assert not pipeline.run(missing, images=ImageStore(studio.asset_root)).success
    assert studio.state_of(missing)[1] == "failed"


def test_the_sensor_pauses_with_the_reason_while_the_store_is_in_trouble(studio: Studio, db: Database) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    store = ImageStore(studio.asset_root)
    away(studio.asset_root)
    with dg.DagsterInstance.ephemeral() as instance:
        paused = request_waiting_variants(instance, db, "new_variants", store.trouble)
        assert paused.skip_reason is not None
        assert str(paused.skip_reason.skip_message).startswith("All variants wait: the asset root ")
        studio.asset_root.with_name("elsewhere").rename(studio.asset_root)
        [request] = request_waiting_variants(instance, db, "new_variants", store.trouble).run_requests or ()
        assert request.partition_key == str(variant)


def test_a_variant_that_was_given_back_is_requested_again_after_five_seconds(
    studio: Studio, db: Database, pipeline: Pipeline
) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    db.claims.begin(variant, "vlm_analyze", "run")
    assert db.claims.give_back(variant, "vlm_analyze", "run", "the disk is full")
    assert not db.claims.give_back(variant, "vlm_analyze", "run", "the disk is full")
    assert request_waiting_variants(pipeline.instance, db, "new_variants").run_requests == []
    studio.execute("UPDATE variant_requests SET requested_at = requested_at - interval '5 seconds'")
    assert len(request_waiting_variants(pipeline.instance, db, "new_variants").run_requests or ()) == 1


@pytest.mark.parametrize(
    ("state", "said"), [({"f_flag": os.ST_RDONLY}, "is read-only"), ({"f_bavail": 1000}, "is full; make room")]
)
def test_a_store_that_cannot_be_written_is_in_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, int], said: str
) -> None:
    (tmp_path / "ye").mkdir()
    assert store_trouble(tmp_path) is None
    sound = {"f_flag": 0, "f_bavail": 1 << 30, "f_frsize": 4096}
    monkeypatch.setattr("resources.store_trouble.os.statvfs", lambda _: SimpleNamespace(**{**sound, **state}))
    assert said in str(store_trouble(tmp_path))
