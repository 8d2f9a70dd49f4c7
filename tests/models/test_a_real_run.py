"""Three variants through Dagster with a real detector, a real vision-language model and a real recogniser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from resources.detector.yolo import YoloDetector, YoloSettings
from resources.ocr.paddle import PaddleOcr, PaddleSettings
from resources.vlm.local import LocalSettings, LocalVision
from stages.pipeline import STAGE_NAMES
from testing.models import paddle_folder, tiny_llava
from testing.models.shapes import table
from testing.pipeline import Pipeline
from testing.studio import Studio


@pytest.fixture(scope="module")
def real_models(shapes_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    recognizer = str(paddle_folder.make(folder / "rec"))
    labels = {"pizza": 1.0, "cup": 1.0}
    return {
        "vision": LocalVision(LocalSettings(str(tiny_llava.make(folder / "llava")), device="cpu", dtype="float32")),
        "detector": YoloDetector(YoloSettings(shapes_weights, 0.25, 0.45, labels, image_size_px=128)),
        "ocr": PaddleOcr(PaddleSettings(recognizer, recognizer)),
    }


def test_a_job_is_done_with_all_three_real_backends(
    studio: Studio,
    pipeline: Pipeline,
    real_models: dict[str, Any],
) -> None:
    job = studio.job(copy="Pizza of the day 9,900")
    variants = [studio.ready_variant(job, table(seed, side_px=480)[0]) for seed in (3000, 3001, 3002)]
    for variant in variants:
        assert pipeline.run(variant, tags=None, **real_models).success
    assert studio.job_state(job) == ("iou_eval", "done")
    for variant in variants:
        results = {stage: studio.result(variant, stage) for stage in STAGE_NAMES}
        assert results["vlm_analyze"]["model"]["provider"] == "transformers"
        assert results["yolo_detect"]["model"]["provider"] == "ultralytics"
        assert results["ocr_eval"]["model"]["provider"] == "paddleocr"
        assert {found["label"] for found in results["yolo_detect"]["objects"]} <= {"pizza", "cup"}
        assert results["planner"]["proposals"]
        assert results["ocr_eval"]["cer"] <= 0.1
    found = studio.row("SELECT count(*) FROM detections WHERE job_variants_id = ANY(:v)", v=variants)[0]
    assert found >= 3
