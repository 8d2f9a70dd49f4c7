"""A stage that takes too long, or too much memory, ends itself and its variant, and nothing else."""

import os
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from resources.detector import Detected
from resources.detector.saliency import SaliencyDetector
from resources.settings import PROJECT, Settings
from resources.wiring import StageLimits, dagster_resources
from stages.imaging.arrays import Picture
from stages.values import StageError
from testing.pipeline import Pipeline
from testing.studio import Studio, photograph
from variant_assets.limits import within_memory, within_time


def limits(*, stage_deadline_s: int) -> StageLimits:
    return StageLimits(
        stage_deadline_s=stage_deadline_s, model_deadline_s=600, stage_memory_mb=0, stages_with_models=[]
    )


class Slow(SaliencyDetector):
    """Finds nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def detect(self, image: Picture) -> Detected:
        assert self.let_go.wait(30)
        return super().detect(image)


def test_a_stage_that_takes_too_long_ends_its_worker_and_its_variant_with_the_reason(
    studio: Studio, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector, ended = Slow(), []

    def end(code: int) -> None:
        ended.append(code)
        detector.let_go.set()

    monkeypatch.setattr(os, "_exit", end)
    variant = studio.ready_variant(studio.job(), photograph())
    result = pipeline.run(variant, "vlm_analyze", "yolo_detect", detector=detector, limits=limits(stage_deadline_s=1))
    assert ended == [1]
    assert studio.state_of(variant) == ("yolo_detect", "failed")
    assert (studio.error(variant) or "").startswith("yolo_detect took more than 1 s, so its worker was ended")
    failed = [entry for entry in logged(pipeline, result.run_id) if '"PIPELINE_FAILURE"' in entry]
    assert any("yolo_detect took more than 1 s" in entry for entry in failed)


def test_a_stage_that_ends_in_time_is_left_alone() -> None:
    told: list[str] = []
    with within_time("overlay", 0.05, told.append):
        pass
    time.sleep(0.1)
    assert told == []


def test_a_process_in_which_nothing_can_work_any_more_is_ended_all_the_same() -> None:
    # The expression takes hours, and holds Python's lock meanwhile.
    program = (
        "import re\nfrom variant_assets import limits\nlimits._GRACE_S = 0.2\n"
        "with limits.within_time('overlay', 0.2, lambda why: None):\n    re.match(r'(a+)+$', 'a' * 60 + 'b')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr


def test_a_stage_that_wants_too_much_memory_is_refused_by_name_and_the_next_one_is_not() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    refusal = pytest.raises(StageError, match=r"overlay needed more memory .* STAGE_MEMORY_MB=100")
    with refusal, within_memory("overlay", 100):
        np.ones(300_000_000, dtype=np.uint8)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    with within_memory("overlay", 400):
        np.ones(300_000_000, dtype=np.uint8)


def test_only_stages_that_ask_a_model_of_their_own_get_more_time_and_memory() -> None:
    given = dagster_resources(Settings(vlm="endpoint", stage_deadline_s=7, model_deadline_s=70, stage_memory_mb=8))
    found = given["limits"]
    assert isinstance(found, StageLimits)
    assert (found.deadline_s("vlm_judge"), found.memory_mb("vlm_judge")) == (70, 0)
    assert (found.deadline_s("yolo_detect"), found.memory_mb("yolo_detect")) == (7, 8)


@pytest.mark.parametrize("fail", [RuntimeError, StageError])
def test_no_error_is_stored_whole_when_it_is_long(
    studio: Studio, pipeline: Pipeline, fail: Callable[[str], Exception]
) -> None:
    class Talkative(SaliencyDetector):
        def detect(self, image: Picture) -> Detected:
            raise fail("x\u202e\0" * 300_000)

    variant = studio.ready_variant(studio.job(), photograph())
    result = pipeline.run(variant, "vlm_analyze", "yolo_detect", detector=Talkative())
    error = studio.error(variant) or ""
    assert len(error) <= 2_000
    assert error.isprintable()
    assert re.search(r"… \([\d,]+ characters\)$", error)
    assert max(map(len, logged(pipeline, result.run_id))) < 60_000


def logged(pipeline: Pipeline, run_id: str) -> list[str]:
    """The events of a run as Dagster stores them."""
    return [record.event_log_entry.to_json() for record in pipeline.instance.get_records_for_run(run_id).records]
