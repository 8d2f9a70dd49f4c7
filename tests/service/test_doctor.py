"""Whether the chosen backends can run, found out without importing them."""

import os
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine

from orchestration.fork_server_state import ForkServerProblem, write_problem
from resources.loading import availability
from resources.loading.weights import folder_or_name
from resources.settings import PROJECT, SettingError, Settings
from service import doctor
from service.running import start
from service.state import State
from testing.shop import Shop

GIVEN = {"DATABASE_URL": "postgresql://u@h/d"}


def chosen(**settings: str) -> Settings:
    return Settings.from_environment(GIVEN | settings)


def test_the_embedded_backends_can_run_after_set_up() -> None:
    assert availability.problems(chosen()) == []


def test_missing_weights_are_named_with_the_way_out(tmp_path: Path) -> None:
    weights = tmp_path / "yolov8x-seg.pt"
    problems = availability.problems(chosen(DETECTOR="yolo", DETECTOR_WEIGHTS=str(weights)))
    assert any(f"DETECTOR_WEIGHTS {weights} does not exist; put the weights there" in problem for problem in problems)


def test_a_missing_library_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(availability, "version", nothing)
    [problem] = availability.problems(chosen(VLM="endpoint"))[:1]
    assert problem == "VLM=endpoint cannot run: openai is not installed; run `make models`"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    problems = availability.problems(chosen(VLM="local", VLM_MODEL=str(tmp_path / "llava")))
    assert any(f"VLM_MODEL {tmp_path / 'llava'} does not exist" in problem for problem in problems)


def test_a_model_folder_is_relative_to_the_project_and_a_name_stays_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder_or_name("tests/service") == str(PROJECT / "tests" / "service")
    assert folder_or_name("./llava") == str(PROJECT / "llava")
    assert folder_or_name("~/llava") == str(tmp_path / "llava")
    assert folder_or_name("llava-hf/llava-1.5-7b-hf") == "llava-hf/llava-1.5-7b-hf"


def test_looking_imports_no_library() -> None:
    before = set(sys.modules)
    for settings in ({"VLM": "local", "DETECTOR": "yolo", "OCR": "paddle"}, {"VLM": "endpoint"}):
        availability.findings(chosen(**settings))
    assert {"torch", "transformers", "ultralytics", "paddleocr", "openai"} & (set(sys.modules) - before) == set()


def test_the_report_says_for_each_backend_whether_it_can_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("DETECTOR", "yolo")
    monkeypatch.setenv("DETECTOR_WEIGHTS", str(tmp_path / "none.onnx"))
    assert doctor.main() == 1
    said = capsys.readouterr().out
    assert "VLM=embedded: can run" in said
    assert "DETECTOR=yolo: CANNOT RUN" in said


def test_a_machine_without_a_font_for_the_copy_is_told_so_by_the_doctor_and_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("FONT_FOLDERS", str(tmp_path))
    assert doctor.main() == 1
    said = capsys.readouterr().out
    assert "fonts: CANNOT RUN\n" in said
    assert f"no font with Hangul and Latin among {tmp_path}  → install a Hangul font (Debian: fonts-nanum)" in said
    with pytest.raises(SettingError, match=r"fonts cannot run: FONT_FOLDERS no font with Hangul and Latin .*; install"):
        start(Settings(state_folder=tmp_path / "state"))
    assert not (tmp_path / "state" / "postgres").exists()


def test_a_service_that_cannot_fork_its_runs_is_reported_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "dagster.yaml").write_text(
        "run_launcher:\n  module: orchestration.fork_launcher\n  class: ForkRunLauncher\n"
        "  config: {module: variant_assets.definitions}\ntelemetry: {enabled: false}\n"
    )
    variables = {**os.environ, "DAGSTER_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    monkeypatch.setattr(doctor, "running_environment", lambda _: variables)
    assert doctor.main() == 0
    assert "fork server: no problem is known" in capsys.readouterr().out
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        write_problem(instance, ForkServerProblem.now("shop", "ImportError: there is no till"))
    assert doctor.main() == 1
    said = capsys.readouterr().out
    assert "fork server: no fork server for shop" in said
    assert "ImportError: there is no till" in said


def test_a_code_location_with_a_backend_that_cannot_run_does_not_load_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from variant_assets.definitions import defs

    monkeypatch.setenv("DETECTOR", "yolo")
    monkeypatch.setenv("DETECTOR_WEIGHTS", str(tmp_path / "none.onnx"))
    with pytest.raises(SettingError, match=r"DETECTOR=yolo cannot run: .*none\.onnx does not exist; put the weights"):
        defs()
    monkeypatch.delenv("DETECTOR")
    assert "variant_pipeline" in {job.name for job in defs().jobs or ()}


def test_doctor_says_which_variants_wait_for_people(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shop = Shop(engine)
    monkeypatch.setattr(doctor, "running_environment", lambda _: {"DATABASE_URL": database_url})
    state = State(tmp_path)
    assert doctor._variants_that_wait_for_people(state) == []
    for step in ("img_gen", "magic"):
        shop.variant(shop.job(), step=step)
    shop.execute("UPDATE jobs_variants SET old_work = 'held'")
    assert doctor._variants_that_wait_for_people(state) == [
        "old work: 1 variants are held  → make release N=100",
        "unknown states: 1 variants  → SELECT * FROM unknown_variant_states",
    ]


def test_doctor_says_what_must_never_be_and_which_done_jobs_have_variants_in_work(
    engine: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shop, state = Shop(engine), State(tmp_path)
    monkeypatch.setattr(doctor, "running_environment", lambda _: {"DATABASE_URL": database_url})
    job = shop.job(step="iou_eval", status="done")
    shop.variant(job, step="planner", status="failed")
    assert doctor._broken_invariants(state) == []
    late = shop.variant(job)
    shop.execute("UPDATE jobs SET status = 'done'")
    assert doctor._variants_that_wait_for_people(state) == [f"done job {job}: 0 of 2 variants are complete"]
    shop.execute("ALTER TABLE jobs_variants DISABLE TRIGGER settle_job")
    shop.set_state(late, "overlay", "failed")
    assert doctor._broken_invariants(state) == [
        f"BROKEN: a job is done although all variants have ended and one has failed: job {job}"
        "  → SELECT * FROM broken_invariants"
    ]
