"""Fifty variants from eight threads, on each backend: its weights are loaded once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resources.detector.yolo import YoloDetector, YoloSettings
from resources.ocr.embedded import EmbeddedOcr
from resources.ocr.paddle import PaddleOcr, PaddleSettings
from resources.ocr.ppocr import PpOcr
from resources.ocr.tesseract import Tesseract
from resources.settings import Settings
from resources.vlm.local import LocalSettings, LocalVision
from resources.wiring import preload
from testing.drawing import drawn_line, stacked
from testing.models import paddle_folder, tiny_llava
from testing.models.cache import CACHE
from testing.models.shapes import table
from testing.models.taught_llava import taught

PICTURE = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
VARIANTS, THREADS = 50, 8


def each_variant(work: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda _: work(), range(VARIANTS)))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kind of each backend that is loaded, once for each time."""
    counted: list[str] = []
    kinds: tuple[type[Any], ...] = (LocalVision, YoloDetector, PaddleOcr, Tesseract, PpOcr)

    def count(kind: type[Any]) -> None:
        real = kind._load

        def load(self: Any, *given: Any) -> Any:
            counted.append(kind.__name__)
            return real(self, *given)

        monkeypatch.setattr(kind, "_load", load)

    for kind in kinds:
        count(kind)
    return counted


@pytest.fixture(scope="module")
def llava(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava.make(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def rec(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paddle_folder.make(tmp_path_factory.mktemp("paddle") / "rec")


def test_the_vision_language_model(libraries: None, loads: list[str]) -> None:
    # The taught one ends its answers soon.
    vision = LocalVision(LocalSettings(str(taught(CACHE)), device="cpu", dtype="float32"))
    judgements = each_variant(lambda: vision.judge(PICTURE, "coffee", "coffee"))
    assert loads == ["LocalVision"]
    assert all(judgement == judgements[0] for judgement in judgements)


def test_the_detector(shapes_weights: Path, loads: list[str]) -> None:
    detector = YoloDetector(YoloSettings(shapes_weights, 0.25, 0.45, {"pizza": 1.0, "cup": 1.0}, image_size_px=128))
    image, _ = table(2002)
    found = each_variant(lambda: detector.detect(image).objects)
    assert loads == ["YoloDetector"]
    assert found[0]
    assert all(objects == found[0] for objects in found)


def test_the_recogniser_for_both_scripts_of_one_model(rec: Path, loads: list[str]) -> None:
    ocr = PaddleOcr(PaddleSettings(str(rec), str(rec)))
    image, line = drawn_line("Fresh coffee", script="latin")
    read = each_variant(lambda: ocr.read(image, (line,)))
    assert loads == ["PaddleOcr"]
    assert {reading[0].text for reading in read} == {"Fresh coffee"}


def test_the_embedded_recogniser(loads: list[str]) -> None:
    ocr = EmbeddedOcr(Settings().tessdata_folders)
    image, lines = stacked(drawn_line("커피 한 잔"), drawn_line("Fresh coffee", script="latin"))
    read = each_variant(lambda: [found.text for found in ocr.read(image, lines)])
    assert {tuple(texts) for texts in read} == {("커피 한 잔", "Fresh coffee")}
    assert sorted(loads) == ["PpOcr", "Tesseract"]


def real_backends(llava: Path, detector: Path, rec: Path, device: str) -> Settings:
    return Settings.from_environment(
        {
            "DATABASE_URL": "postgresql://u@h/d",
            "VLM": "local",
            "VLM_MODEL": str(llava),
            "VLM_DEVICE": device,
            "DETECTOR": "yolo",
            "DETECTOR_WEIGHTS": str(detector),
            "OCR": "paddle",
            "OCR_HANGUL_MODEL": str(rec),
            "OCR_LATIN_MODEL": str(rec),
        }
    )


def test_preloading_loads_every_chosen_backend_and_its_use_loads_nothing_more(
    llava: Path, shapes_weights: Path, rec: Path, loads: list[str]
) -> None:
    settings = real_backends(llava, shapes_weights, rec, "cpu")
    preload(settings)
    assert sorted(loads) == ["LocalVision", "PaddleOcr", "YoloDetector"]
    preload(settings)
    assert len(loads) == 3


def test_what_does_not_survive_a_fork_is_left_to_the_children(
    llava: Path, shapes_weights: Path, rec: Path, loads: list[str]
) -> None:
    settings = real_backends(llava, shapes_weights.with_suffix(".onnx"), rec, "cuda")
    assert preload(settings, to_be_forked=True) == ["VLM=local", "DETECTOR=yolo", "OCR=paddle"]
    assert loads == []
