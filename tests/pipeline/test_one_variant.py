"""One variant through the real stages, in this process."""

from collections.abc import Sequence
from uuid import UUID

import dagster as dg
import pytest
from sqlalchemy.exc import OperationalError

from resources.ocr import Ocr
from resources.postgres.claims import Claims
from resources.postgres.database import Database
from resources.postgres.values import JobProgress
from stages.imaging.arrays import Picture
from stages.pipeline import STAGE_NAMES
from stages.values import LineRead, LineToRead, ModelInfo, Script
from testing.pipeline import Pipeline, failure_text
from testing.studio import Studio, photograph


def test_a_variant_goes_through_all_stages_and_completes_its_job(studio: Studio, pipeline: Pipeline) -> None:
    job = studio.job(copy="오늘의 원두로 내린 커피 한 잔")
    variant = studio.ready_variant(job, photograph())
    result = pipeline.run(variant)
    assert result.success
    assert studio.state_of(variant) == ("iou_eval", "done")
    assert studio.job_state(job) == ("iou_eval", "done")
    stages = studio.row("SELECT array_agg(stage) FROM variant_results WHERE job_variants_id = :v", v=variant)[0]
    assert sorted(stages) == sorted(STAGE_NAMES)


def test_the_verdict_is_stored_and_shown(studio: Studio, pipeline: Pipeline) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    [materialization] = pipeline.run(variant).asset_materializations_for_node("iou_eval")
    stored = studio.row("SELECT verdict FROM jobs_variants WHERE job_variants_id = :v", v=variant)[0]
    assert stored["outcome"] in {"pass", "warn", "fail"}
    assert materialization.metadata["verdict"].value == stored["outcome"]
    assert materialization.metadata["verdict_score"].value == stored["score"]


def test_the_finished_ad_is_a_picture_of_the_same_size_linked_to_the_variant(
    studio: Studio, pipeline: Pipeline
) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    pipeline.run(variant, *STAGE_NAMES[:4])
    url = studio.row(
        "SELECT image_url FROM image_assets a JOIN jobs_variants v ON v.overlaid_img_asset_id = a.image_asset_id"
        " WHERE v.job_variants_id = :v", v=variant,
    )[0]  # fmt: skip
    assert url.startswith("/assets/yh/tenants/cafe/final/")
    assert studio.load(url).shape == photograph().shape
    assert (studio.load(url) != photograph()).any()


def test_the_check_is_recorded_for_the_partition_with_its_counts(studio: Studio, pipeline: Pipeline) -> None:
    job = studio.job()
    variant, _waiting = studio.ready_variant(job, photograph()), studio.ready_variant(job, photograph(100))
    [evaluation] = pipeline.run(variant).get_asset_check_evaluations()
    assert evaluation.passed
    assert evaluation.partition == str(variant)
    assert evaluation.description == "1 of 2 variants complete, 0 failed; the job is running"


def test_planner_and_overlay_show_a_thumbnail_of_at_most_4_kilobytes(studio: Studio, pipeline: Pipeline) -> None:
    result = pipeline.run(studio.ready_variant(studio.job(), photograph(size_px=1080)), *STAGE_NAMES[:4])
    for stage in ("planner", "overlay"):
        [materialization] = result.asset_materializations_for_node(stage)
        markdown = str(materialization.metadata["picture"].value)
        assert markdown.startswith("![picture](data:image/")
        assert len(markdown) * 3 / 4 <= 4_100


def test_every_materialization_carries_the_figures_of_its_stage(studio: Studio, pipeline: Pipeline) -> None:
    result = pipeline.run(studio.ready_variant(studio.job(), photograph()))
    figures = {stage: set(result.asset_materializations_for_node(stage)[0].metadata) for stage in STAGE_NAMES}
    assert figures["yolo_detect"] >= {"objects", "forbidden_share", "model", "latency_ms"}
    assert figures["ocr_eval"] >= {"cer", "cer_ignoring_spaces", "unreadable_by_reader", "reason"}
    assert figures["readability_eval"] >= {"contrast_p1", "passes_aa", "score"}
    assert figures["iou_eval"] >= {"max_coverage", "max_iou", "overlaps"}


def test_each_plan_uses_the_detections_and_mask_of_its_own_image(studio: Studio, pipeline: Pipeline) -> None:
    job = studio.job()
    left, right = (
        studio.ready_variant(job, photograph()),
        studio.ready_variant(job, photograph()[:, ::-1].copy()),
    )
    for variant in (left, right):
        assert pipeline.run(variant, *STAGE_NAMES[:4]).success
    boxes = [studio.result(variant, "yolo_detect")["objects"] for variant in (left, right)]
    assert boxes[0] != boxes[1]
    alone = studio.ready_variant(studio.job(), photograph())
    pipeline.run(alone, *STAGE_NAMES[:4])
    assert studio.result(alone, "planner") == studio.result(left, "planner")


def test_the_upload_of_the_user_plays_no_part(studio: Studio, pipeline: Pipeline) -> None:
    job = studio.job()
    variant, other = studio.ready_variant(job, photograph()), studio.ready_variant(studio.job(), photograph(100))
    studio.execute(
        "UPDATE job_inputs SET img_asset_id = (SELECT img_asset_id FROM jobs_variants WHERE job_variants_id = :o)"
        " WHERE job_id = :j", o=other, j=job,
    )  # fmt: skip
    assert pipeline.run(variant, *STAGE_NAMES[:4]).success
    about = studio.row(
        "SELECT y.image_asset_id = v.img_asset_id, p.image_asset_id = v.img_asset_id FROM jobs_variants v"
        " JOIN yolo_runs y USING (job_variants_id) JOIN planner_proposals p USING (job_variants_id)"
        " WHERE v.job_variants_id = :v", v=variant,
    )  # fmt: skip
    assert tuple(about) == (True, True)


def test_sizes_come_from_the_file_and_not_from_the_database(studio: Studio, pipeline: Pipeline) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    studio.execute("UPDATE image_assets SET width = 7, height = 9000")
    assert pipeline.run(variant).success
    assert studio.result(variant, "overlay")["size"] == {"width_px": 480, "height_px": 480}


def test_running_one_stage_again_refreshes_it_and_touches_no_other_variant(studio: Studio, pipeline: Pipeline) -> None:
    job = studio.job()
    variant, sibling = studio.ready_variant(job, photograph()), studio.ready_variant(job, photograph(100))
    for each in (variant, sibling):
        assert pipeline.run(each).success
    counts = (
        "SELECT (SELECT count(*) FROM evaluations), (SELECT count(*) FROM overlay_layouts),"
        " (SELECT count(*) FROM image_assets)"
    )
    before = studio.row(counts)
    revision = "SELECT max(revision) FROM variant_results WHERE job_variants_id = :v"
    untouched = studio.row(revision, v=sibling)
    assert pipeline.run(variant, "overlay").success
    assert studio.row(counts) == before
    assert studio.row(revision, v=sibling) == untouched
    assert studio.state_of(variant) == ("overlay", "done")
    assert studio.state_of(sibling) == ("iou_eval", "done")
    assert studio.job_state(job) == ("iou_eval", "done")


def test_the_same_input_twice_gives_the_same_plan_layout_and_picture(studio: Studio, pipeline: Pipeline) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    seen = []
    for _ in range(2):
        assert pipeline.run(variant, *STAGE_NAMES[:4]).success
        url = studio.row(
            "SELECT image_url FROM image_assets WHERE image_type = 'overlaid' AND job_id ="
            " (SELECT job_id FROM jobs_variants WHERE job_variants_id = :v)", v=variant,
        )[0]  # fmt: skip
        seen.append((studio.result(variant, "planner"), studio.result(variant, "overlay"), url))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("key", ["job-7", "00000000-0000-0000-0000-000000000000"])
def test_a_key_that_is_no_variant_fails_clearly(studio: Studio, pipeline: Pipeline, key: str) -> None:
    result = pipeline.run(key)
    assert not result.success
    assert key in failure_text(result)
    assert "job_variants_id" in failure_text(result)


def test_a_variant_another_run_works_on_is_not_touched(studio: Studio, pipeline: Pipeline, db: Database) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    live = pipeline.instance.create_run_for_job(
        dg.GraphDefinition(name="other").to_job(), status=dg.DagsterRunStatus.STARTED
    )
    db.claims.begin(variant, "vlm_analyze", live.run_id)
    result = pipeline.run(variant)
    assert not result.success
    assert f"is being worked on by run {live.run_id}" in failure_text(result)
    assert studio.state_of(variant) == ("vlm_analyze", "running")


def test_a_run_takes_over_from_one_dagster_does_not_know(studio: Studio, pipeline: Pipeline, db: Database) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    db.claims.begin(variant, "vlm_analyze", "a-run-that-was-pruned")
    assert pipeline.run(variant).success


def test_a_stage_whose_inputs_are_missing_leaves_the_variant_as_it_was(studio: Studio, pipeline: Pipeline) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    result = pipeline.run(variant, "overlay")
    assert "needs a fresh result of vlm_analyze" in failure_text(result)
    assert studio.state_of(variant) == ("img_gen", "done")


class FlakyOcr:
    """Fails so many times, then reads with the real engine."""

    survives_fork = False

    def __init__(self, real: Ocr, failures: int) -> None:
        self.real, self.failures, self.calls = real, failures, 0

    @property
    def info(self) -> ModelInfo:
        return self.real.info

    def load(self) -> None:
        self.real.load()

    def knows(self, character: str, script: Script) -> bool:
        return self.real.knows(character, script)

    def read(self, image: Picture, lines: Sequence[LineToRead]) -> tuple[LineRead, ...]:
        self.calls += 1
        if self.calls <= self.failures:
            raise RuntimeError("the engine lost its session")
        return self.real.read(image, lines)


def embedded_ocr() -> Ocr:
    from resources.ocr.embedded import EmbeddedOcr
    from resources.settings import Settings

    return EmbeddedOcr(Settings().tessdata_folders)


def test_an_engine_that_fails_for_a_moment_is_tried_again(studio: Studio, pipeline: Pipeline) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    ocr = FlakyOcr(embedded_ocr(), failures=2)
    assert pipeline.run(variant, ocr=ocr).success
    assert ocr.calls == 3
    assert studio.error(variant) is None


def test_an_engine_that_keeps_failing_is_a_failed_stage_and_no_low_score(studio: Studio, pipeline: Pipeline) -> None:
    job = studio.job()
    variant = studio.ready_variant(job, photograph())
    assert not pipeline.run(variant, ocr=FlakyOcr(embedded_ocr(), failures=99)).success
    assert studio.state_of(variant) == ("ocr_eval", "failed")
    assert studio.error(variant) == "RuntimeError: the engine lost its session"
    assert studio.job_state(job)[1] == "failed"
    assert pipeline.run(variant, *STAGE_NAMES[5:]).success
    assert studio.job_state(job) == ("iou_eval", "done")


def test_a_variant_that_fails_says_at_the_check_where_and_why(studio: Studio, pipeline: Pipeline) -> None:
    variant = studio.ready_variant(studio.job(copy=""), photograph())
    assert not pipeline.run(variant).success
    [said] = pipeline.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("iou_eval"), "job_completion"), limit=9
    )
    assert said.event is not None
    evaluation = said.event.get_dagster_event().asset_check_evaluation_data
    assert evaluation.partition == str(variant)
    assert str(evaluation.description).startswith("not complete: failed at planner: no ad copy for job")


def test_a_connection_lost_while_the_variant_is_completed_does_not_fail_the_run(
    studio: Studio, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    completed = Claims.complete

    def lost_after_it(self: Claims, variant: UUID) -> JobProgress:
        progress = completed(self, variant)
        monkeypatch.setattr(Claims, "complete", completed)
        raise OperationalError("SELECT", {}, Exception(f"server closed the connection after {progress}"))

    monkeypatch.setattr(Claims, "complete", lost_after_it)
    job = studio.job()
    assert pipeline.run(studio.ready_variant(job, photograph())).success
    assert studio.job_state(job) == ("iou_eval", "done")


def test_a_run_that_was_requested_for_a_state_that_has_moved_does_nothing(studio: Studio, pipeline: Pipeline) -> None:
    variant = studio.ready_variant(studio.job(), photograph())
    asked = studio.row("SELECT state_revision FROM jobs_variants WHERE job_variants_id = :v", v=variant)[0]
    studio.set_state(variant, "img_gen", "done")
    result = pipeline.run(variant, tags={"dagster/run_key": f"{variant}:{asked}"})
    assert f"was requested for state {asked} of variant {variant}" in failure_text(result)
    assert studio.state_of(variant) == ("img_gen", "done")
    assert studio.row("SELECT count(*) FROM vlm_traces")[0] == 0
