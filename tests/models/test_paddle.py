"""PaddleOCR's own class with real weights, on the lines of an ad."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.ocr.paddle import PaddleOcr, PaddleSettings
from stages.values import StageError
from testing.drawing import drawn_line, stacked
from testing.models.paddle_folder import make


@pytest.fixture(scope="module")
def folder(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("paddle") / "rec")


@pytest.fixture(scope="module")
def ocr(folder: Path) -> PaddleOcr:
    return PaddleOcr(PaddleSettings(str(folder), str(folder)))


@pytest.mark.parametrize("text", ["Fresh coffee every day", "Order now! 20% OFF", "Only $4.99 today", "02-1234-5678"])
def test_english_lines_are_read(ocr: PaddleOcr, text: str) -> None:
    image, line = drawn_line(text, script="latin")
    [read] = ocr.read(image, (line,))
    assert read.text == text
    assert read.confidence > 0.9


def test_several_lines_are_read_in_their_order_by_one_model(ocr: PaddleOcr) -> None:
    image, lines = stacked(drawn_line("First line", script="latin"), drawn_line("Second one", script="latin"))
    assert [read.text for read in ocr.read(image, lines)] == ["First line", "Second one"]
    assert ocr.models["hangul"] is ocr.models["latin"]


def test_hangul_and_a_dictionary_without_it_is_unsupported_and_not_a_low_score(ocr: PaddleOcr) -> None:
    image, line = drawn_line("커피 한 잔")
    with pytest.raises(StageError, match=r"unsupported language.*korean_PP-OCRv5_mobile_rec"):
        ocr.read(image, (line,))


def test_a_model_in_a_folder_knows_the_characters_of_its_dictionary(ocr: PaddleOcr) -> None:
    assert all(ocr.knows(character, "latin") for character in "Az0%₩")
    assert not ocr.knows("가", "hangul")


def test_a_broken_engine_is_an_error_and_no_empty_reading(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "rec"
    broken.mkdir()
    (broken / "inference.yml").write_bytes((folder / "inference.yml").read_bytes())
    (broken / "inference.onnx").write_bytes(b"no model")
    image, line = drawn_line("coffee", script="latin")
    with pytest.raises(Exception, match=r"(?i)protobuf|onnx|model"):
        PaddleOcr(PaddleSettings(str(broken), str(broken))).read(image, (line,))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    image, line = drawn_line("coffee", script="latin")
    with pytest.raises(StageError, match=r"OCR_LATIN_MODEL=.*inference\.yml does not exist"):
        PaddleOcr(PaddleSettings(str(tmp_path / "x"), str(tmp_path / "x"))).read(image, (line,))
