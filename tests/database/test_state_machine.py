"""A variant's way through the stages, as the database keeps it."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from resources.postgres.database import Database
from resources.postgres.errors import ClaimLost, NotReady, UnknownVariant
from resources.postgres.values import variant_id
from stages.pipeline import STAGE_NAMES
from testing.shop import Shop, output, work_through

RESULTS = "SELECT count(*) FROM variant_results WHERE job_variants_id = :v"


@pytest.fixture
def variant(shop: Shop) -> UUID:
    return shop.variant(shop.job())


def test_a_stage_is_running_while_it_works_and_done_with_its_result(db: Database, shop: Shop, variant: UUID) -> None:
    db.claims.begin(variant, "vlm_analyze", "run")
    assert shop.state_of(variant) == ("vlm_analyze", "running")
    assert shop.row(RESULTS, v=variant)[0] == 0
    db.claims.finish(db.claims.load(variant), "vlm_analyze", "run", output("vlm_analyze"))
    assert shop.state_of(variant) == ("vlm_analyze", "done")
    assert shop.row(RESULTS, v=variant)[0] == 1


def test_a_result_that_cannot_be_stored_leaves_the_stage_running(db: Database, shop: Shop, variant: UUID) -> None:
    db.claims.begin(variant, "vlm_analyze", "run")
    shop.execute("ALTER TABLE vlm_traces ADD CONSTRAINT full_disk CHECK (false) NOT VALID")
    with pytest.raises(IntegrityError):
        db.claims.finish(db.claims.load(variant), "vlm_analyze", "run", output("vlm_analyze"))
    assert shop.state_of(variant) == ("vlm_analyze", "running")


def test_the_last_stage_stays_running_until_the_variant_is_verified(db: Database, shop: Shop, variant: UUID) -> None:
    work_through(db, variant, "run")
    assert shop.state_of(variant) == ("iou_eval", "running")
    db.claims.complete(variant)
    assert shop.state_of(variant) == ("iou_eval", "done")


def test_a_second_run_is_told_who_works_on_the_variant(db: Database, shop: Shop, variant: UUID) -> None:
    db.claims.begin(variant, "vlm_analyze", "first")
    assert db.claims.begin(variant, "vlm_analyze", "second") == "first"
    assert db.claims.begin(variant, "overlay", "second") == "first"
    assert shop.state_of(variant) == ("vlm_analyze", "running")


def test_a_run_takes_over_from_one_that_has_ended(db: Database, shop: Shop, variant: UUID) -> None:
    db.claims.begin(variant, "vlm_analyze", "dead")
    assert db.claims.begin(variant, "vlm_analyze", "next", ended_run="dead") is None
    with pytest.raises(ClaimLost, match="run dead no longer holds stage vlm_analyze"):
        db.claims.finish(db.claims.load(variant), "vlm_analyze", "dead", output("vlm_analyze"))
    db.claims.finish(db.claims.load(variant), "vlm_analyze", "next", output("vlm_analyze"))
    assert shop.state_of(variant) == ("vlm_analyze", "done")


def revision_of(shop: Shop, variant: UUID) -> int:
    return int(shop.row("SELECT state_revision FROM jobs_variants WHERE job_variants_id = :v", v=variant)[0])


def test_a_run_begins_the_state_that_it_was_requested_for(db: Database, shop: Shop, variant: UUID) -> None:
    asked = revision_of(shop, variant)
    for stage in STAGE_NAMES[:2]:
        assert db.claims.begin(variant, stage, "run", asked_revision=asked) is None
        db.claims.finish(db.claims.load(variant), stage, "run", output(stage))
    assert shop.state_of(variant) == ("yolo_detect", "done")


def test_a_second_run_for_a_state_that_had_its_run_is_refused(db: Database, shop: Shop, variant: UUID) -> None:
    asked = revision_of(shop, variant)
    work_through(db, variant, "first")
    db.claims.complete(variant)
    with pytest.raises(ClaimLost, match=rf"requested for state {asked} of variant .* now \(iou_eval, done\)"):
        db.claims.begin(variant, "vlm_analyze", "second", asked_revision=asked)
    assert shop.state_of(variant) == ("iou_eval", "done")
    assert db.claims.begin(variant, "vlm_analyze", "of a person") is None


def test_a_run_requested_for_a_state_that_was_written_anew_is_refused(db: Database, shop: Shop, variant: UUID) -> None:
    asked = revision_of(shop, variant)
    shop.set_state(variant, "img_gen", "done")
    with pytest.raises(ClaimLost, match="another run works"):
        db.claims.begin(variant, "vlm_analyze", "run", asked_revision=asked)
    assert shop.state_of(variant) == ("img_gen", "done")


@pytest.mark.parametrize(("step", "status"), [("img_gen", "done"), ("vlm_analyze", "queued")])
def test_a_run_that_was_terminated_before_it_began_ends_its_variant_and_job(
    db: Database, shop: Shop, step: str, status: str
) -> None:
    job = shop.job()
    variant = shop.variant(job, step=step, status=status)
    assert not db.claims.end_terminated(variant, "run")
    assert db.claims.end_terminated(variant, "run", asked_revision=revision_of(shop, variant))
    assert shop.state_of(variant) == ("vlm_analyze", "failed")
    assert "run run was terminated at stage vlm_analyze" in str(shop.error(variant))
    assert shop.job_state(job)[1] == "failed"


def test_a_terminated_run_leaves_a_variant_alone_whose_state_was_written_since(
    db: Database, shop: Shop, variant: UUID
) -> None:
    asked = revision_of(shop, variant)
    shop.set_state(variant, "img_gen", "done")
    assert not db.claims.end_terminated(variant, "run", asked_revision=asked)
    shop.set_state(variant, "img_gen", "queued")
    assert not db.claims.end_terminated(variant, "run", asked_revision=revision_of(shop, variant))
    assert shop.state_of(variant) == ("img_gen", "queued")


def test_of_two_triggers_in_the_same_moment_one_gets_the_stage(db: Database, database_url: str, variant: UUID) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        holders = list(pool.map(lambda run: db.claims.begin(variant, "vlm_analyze", run), ["a", "b"]))
    assert sorted(holder or "" for holder in holders) in (["", "a"], ["", "b"])


def test_a_result_is_discarded_when_an_operator_rewound_the_variant_meanwhile(
    db: Database, shop: Shop, variant: UUID
) -> None:
    work_through(db, variant, "run", last="overlay")
    db.claims.begin(variant, "vlm_judge", "run")
    shop.set_state(variant, "yolo_detect", "done")
    with pytest.raises(ClaimLost):
        db.claims.finish(db.claims.load(variant), "vlm_judge", "run", output("vlm_judge"))
    with pytest.raises(ClaimLost, match=r"moved to \(yolo_detect, done\)"):
        db.claims.begin(variant, "ocr_eval", "run")
    assert shop.state_of(variant) == ("yolo_detect", "done")


def test_a_stage_needs_fresh_results_of_all_stages_before_it(db: Database, shop: Shop, variant: UUID) -> None:
    with pytest.raises(NotReady, match=r"overlay of variant .* needs a fresh result of vlm_analyze"):
        db.claims.begin(variant, "overlay", "run")
    assert shop.state_of(variant) == ("img_gen", "done")
    work_through(db, variant, "run")
    db.claims.begin(variant, "yolo_detect", "again", ended_run="run")
    db.claims.finish(db.claims.load(variant), "yolo_detect", "again", output("yolo_detect"))
    with pytest.raises(NotReady, match="needs a fresh result of planner"):
        db.claims.begin(variant, "ocr_eval", "other", ended_run="again")


def test_a_variant_without_image_is_refused_and_stays_as_it_is(db: Database, shop: Shop) -> None:
    variant = shop.variant(shop.job(), status="running")
    with pytest.raises(NotReady, match=r"no image yet: it is \(img_gen, running\)"):
        db.claims.begin(variant, "vlm_analyze", "run")
    assert shop.state_of(variant) == ("img_gen", "running")


def test_an_unknown_key_is_named(db: Database) -> None:
    unknown = uuid4()
    with pytest.raises(UnknownVariant, match=f"no variant {unknown}"):
        db.claims.begin(unknown, "vlm_analyze", "run")


def test_a_key_that_is_not_a_uuid_is_named() -> None:
    with pytest.raises(UnknownVariant, match="'job-7' is not a UUID"):
        variant_id("job-7")


def test_an_error_that_will_be_retried_is_recorded_but_ends_nothing(db: Database, shop: Shop, variant: UUID) -> None:
    db.claims.begin(variant, "vlm_analyze", "run")
    assert db.claims.fail(variant, "vlm_analyze", "run", "the model is busy", final=False)
    assert shop.state_of(variant) == ("vlm_analyze", "running")
    assert shop.error(variant) == "the model is busy"


def test_a_final_error_ends_the_variant_with_its_text(db: Database, shop: Shop, variant: UUID) -> None:
    db.claims.begin(variant, "vlm_analyze", "run")
    assert db.claims.fail(variant, "vlm_analyze", "run", "no ad copy", final=True)
    assert shop.state_of(variant) == ("vlm_analyze", "failed")
    assert shop.error(variant) == "no ad copy"


def test_a_run_that_lost_its_claim_cannot_fail_the_variant(db: Database, shop: Shop, variant: UUID) -> None:
    db.claims.begin(variant, "vlm_analyze", "dead")
    db.claims.begin(variant, "vlm_analyze", "next", ended_run="dead")
    assert not db.claims.fail(variant, "vlm_analyze", "dead", "too late", final=True)
    assert shop.state_of(variant) == ("vlm_analyze", "running")


def test_running_everything_twice_leaves_one_result_per_stage(db: Database, shop: Shop, variant: UUID) -> None:
    for run in ("first", "second"):
        work_through(db, variant, run)
        db.claims.complete(variant)
    assert shop.row(RESULTS, v=variant)[0] == 8
    for table in ("yolo_runs", "planner_proposals", "overlay_layouts"):
        assert shop.row(f"SELECT count(*) FROM {table}")[0] == 1
    assert shop.row("SELECT count(*) FROM vlm_traces")[0] == 2
    assert shop.row("SELECT count(*) FROM evaluations")[0] == 4
    assert shop.row("SELECT count(*) FROM image_assets WHERE image_type = 'overlaid'")[0] == 1


def test_a_stored_layout_says_which_share_of_the_image_its_text_touches(
    db: Database, shop: Shop, variant: UUID
) -> None:
    work_through(db, variant, "run", last="overlay")
    ratios = shop.row("SELECT x_ratio, y_ratio, width_ratio, height_ratio FROM overlay_layouts")
    assert [float(ratio) for ratio in ratios] == [0.1, 0.1, 0.5, 0.2]


def test_two_current_results_for_one_stage_are_impossible(db: Database, shop: Shop, variant: UUID) -> None:
    work_through(db, variant, "run", last="yolo_detect")
    with pytest.raises(IntegrityError, match="one_current_yolo_run"):
        shop.execute("INSERT INTO yolo_runs (job_variants_id, is_current) VALUES (:v, true)", v=variant)


def test_a_result_without_its_variant_is_impossible(shop: Shop) -> None:
    with pytest.raises(IntegrityError, match="name_their_variant"):
        shop.execute("INSERT INTO evaluations (evaluation_type, is_current) VALUES ('ocr', true)")


def test_a_worker_that_died_three_times_in_a_stage_fails_the_variant(db: Database, shop: Shop, variant: UUID) -> None:
    work_through(db, variant, "run-0", last="planner")
    outcomes = []
    for attempt in range(1, 4):
        assert db.claims.begin(variant, "overlay", f"run-{attempt}", ended_run=f"run-{attempt - 1}") is None
        outcomes.append(db.claims.recover(variant, f"run-{attempt}"))
    assert outcomes == ["restarted", "restarted", "failed"]
    assert shop.state_of(variant) == ("overlay", "failed")
    assert "stage overlay ended its worker 3 times, last in run run-3" in str(shop.error(variant))


def test_recovery_goes_back_to_the_stage_that_died_and_never_past_it(db: Database, shop: Shop, variant: UUID) -> None:
    work_through(db, variant, "run", last="planner")
    db.claims.begin(variant, "overlay", "run")
    assert db.claims.recover(variant, "run") == "restarted"
    assert shop.state_of(variant) == ("planner", "done")
    [waiting] = db.run_requests.request_startable("new_variants", [], most=10)
    assert waiting.start_stage == "overlay"


def test_a_crash_between_the_last_result_and_its_check_is_completed(db: Database, shop: Shop, variant: UUID) -> None:
    work_through(db, variant, "run")
    assert db.claims.recover(variant, "run") == "completed"
    assert shop.state_of(variant) == ("iou_eval", "done")


def test_a_crash_while_the_last_stage_runs_again_is_not_taken_for_its_result(
    db: Database, shop: Shop, variant: UUID
) -> None:
    work_through(db, variant, "first")
    db.claims.complete(variant)
    db.claims.begin(variant, "iou_eval", "second")
    with pytest.raises(NotReady, match="result of iou_eval is missing or not fresh"):
        db.claims.complete(variant)
    assert db.claims.recover(variant, "second") == "restarted"
    assert shop.state_of(variant) == ("readability_eval", "done")


def test_recovery_leaves_a_variant_alone_that_another_run_has_claimed(db: Database, shop: Shop, variant: UUID) -> None:
    db.claims.begin(variant, "vlm_analyze", "dead")
    db.claims.begin(variant, "vlm_analyze", "next", ended_run="dead")
    assert db.claims.recover(variant, "dead") == "moved on"
    assert not db.claims.end_terminated(variant, "dead")
    assert shop.state_of(variant) == ("vlm_analyze", "running")


def test_a_variant_is_complete_only_with_all_eight_results(db: Database, shop: Shop, variant: UUID) -> None:
    work_through(db, variant, "run")
    shop.execute("DELETE FROM evaluations WHERE evaluation_type = 'ocr' AND job_variants_id = :v", v=variant)
    with pytest.raises(NotReady, match="its result of ocr_eval is missing"):
        db.claims.complete(variant)
    assert shop.state_of(variant) == ("iou_eval", "running")


def test_completing_twice_is_completing_once(db: Database, shop: Shop, variant: UUID) -> None:
    work_through(db, variant, "run")
    assert db.claims.complete(variant) == db.claims.complete(variant)


def test_each_variant_keeps_its_own_detections(db: Database, shop: Shop) -> None:
    job = shop.job()
    for variant in (shop.variant(job), shop.variant(job), shop.variant(job)):
        work_through(db, variant, f"run-{variant}", last="yolo_detect")
    assert shop.row("SELECT count(DISTINCT job_variants_id) FROM yolo_runs WHERE job_id = :j", j=job)[0] == 3


def test_the_newest_finished_copy_is_used_and_else_the_description(db: Database, shop: Shop) -> None:
    job = shop.job(copy="설명")
    variant = shop.variant(job)
    assert db.claims.load(variant).copy_kor == "설명"
    for copy, status in (("첫째", "done"), ("둘째", "done"), ("셋째", "running"), ("  ", "done")):
        shop.execute(
            "INSERT INTO txt_ad_copy_generations (job_id, generation_stage, ad_copy_kor, status)"
            " VALUES (:j, 'ad_copy_kor', :c, :s)", j=job, c=copy, s=status,
        )  # fmt: skip
    shop.execute("DELETE FROM txt_ad_copy_generations WHERE ad_copy_kor = '  '")
    assert db.claims.load(variant).copy_kor == "둘째"
