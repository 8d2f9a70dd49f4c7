"""The embedded recogniser on lines drawn in installed fonts."""

import os
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.ocr.embedded import EmbeddedOcr
from resources.settings import Settings
from stages.values import LineToRead, Rect, Script, StageError
from testing.drawing import drawn_line, stacked

TESSDATA = Settings().tessdata_folders
OCR = EmbeddedOcr(TESSDATA)
KOREAN = [
    "오늘만 50% 할인",
    "신선한 커피 한 잔의 여유",
    "따뜻한 라떼 4,500원",
    "첫 주문 ₩3,000 할인",
    "떡볶이 1+1 행사",
    "예약 문의 02-1234-5678",
    "주말 브런치 오전 10시부터",
    "NEW 시그니처 라떼",
    "지금 바로 주문하세요!",
    "11개 12,000원",
    "오후 5시~7시, 맥주 1+1",
]
ENGLISH = [
    "Fresh coffee every morning",
    "50% OFF today only",
    "Free delivery over ₩20,000",
    "Order now: 02-1234-5678",
]
SCRIPTS: tuple[Script, ...] = ("hangul", "latin")


def read(text: str, script: Script = "hangul", **drawing: object) -> str:
    image, line = drawn_line(text, script=script, **drawing)  # type: ignore[arg-type]
    return OCR.read(image, [line])[0].text


@pytest.mark.parametrize("size_px", [28, 48, 80])
@pytest.mark.parametrize("text", KOREAN)
def test_korean_lines_are_read_back_exactly(text: str, size_px: int) -> None:
    image, line = drawn_line(text, size_px=size_px)
    (found,) = OCR.read(image, [line])
    assert found.text == text
    assert found.confidence > 0.5


@pytest.mark.parametrize("font", ["NanumGothicBold.ttf", "NanumMyeongjoBold.ttf", "NanumGothic.ttf"])
def test_other_fonts_and_dark_text_are_read_too(font: str) -> None:
    text = "신선한 커피 한 잔의 여유"
    assert read(text, font=font, fill=(20, 20, 20), background=(240, 220, 160)) == text


@pytest.mark.parametrize("size_px", [24, 40, 90])
@pytest.mark.parametrize("text", ENGLISH)
def test_english_lines_are_read_back_exactly(text: str, size_px: int) -> None:
    assert read(text, "latin", size_px=size_px) == text


@pytest.mark.parametrize("count", ["1", "6", "11", "15", "100", "365", "2026"])
@pytest.mark.parametrize("unit", ["개", "시", "년", "인분", "마리"])
def test_a_number_before_a_syllable_is_read_with_all_its_digits_and_no_more(count: str, unit: str) -> None:
    assert read(f"매일 {count}{unit} 한정") == f"매일 {count}{unit} 한정"


def test_several_lines_come_back_in_the_order_they_were_asked_for() -> None:
    image, (korean, english) = stacked(drawn_line("행복"), drawn_line("Menu", script="latin"))
    assert [found.text for found in OCR.read(image, [english, korean])] == ["Menu", "행복"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_nothing_to_read_is_an_empty_reading_and_no_failure(script: Script) -> None:
    image, line = drawn_line("행복", script=script)
    (found,) = OCR.read(np.full_like(image, 90), [line])
    assert (found.text, found.confidence) == ("", 0.0)


@pytest.mark.parametrize("script", SCRIPTS)
def test_noise_reads_as_nothing_sure(script: Script) -> None:
    image, line = drawn_line("행복한 하루", script=script)
    noise = np.random.default_rng(3).integers(0, 256, image.shape, dtype=np.uint8)
    (found,) = OCR.read(noise, [line])
    assert found.text != "행복한 하루"
    assert found.confidence < 0.8


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 60), st.integers(1, 200)),
    corner=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    extent=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    script=st.sampled_from(SCRIPTS),
)
def test_no_box_in_any_picture_is_a_failure(
    seed: int, shape: tuple[int, int], corner: tuple[float, float], extent: tuple[float, float], script: Script
) -> None:
    """Boxes at the edge, of no extent and of one pixel included: blots of the text's colour on noise."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    image[random.random(shape) < random.random()] = 255
    (x, y), (width, height) = corner, extent
    box = Rect(x=x, y=y, width=width * (1 - x), height=height * (1 - y))
    (found,) = OCR.read(image, [LineToRead(box=box, script=script, fill=(255, 255, 255))])
    assert 0 <= found.confidence <= 1


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("height_px", [1, 2, 5])
def test_a_rule_as_wide_as_the_picture_is_no_failure(script: Script, height_px: int) -> None:
    image = np.zeros((100, 1600, 3), np.uint8)
    image[50 : 50 + height_px, 50:1550] = 255
    box = Rect(x=0.01, y=0.49, width=0.98, height=0.02 + height_px / 100)
    OCR.read(image, [LineToRead(box=box, script=script, fill=(255, 255, 255))])


def test_a_syllable_that_the_korean_data_lack_is_known_to_be_unreadable() -> None:
    assert [character for character in "넉쫄한 짬뽕" if character != " " and not OCR.knows(character, "hangul")] == [
        "넉", "쫄", "짬", "뽕",
    ]  # fmt: skip


def test_the_korean_data_hold_1076_syllables() -> None:
    syllables = map(chr, range(ord("가"), ord("힣") + 1))
    assert sum(OCR.knows(syllable, "hangul") for syllable in syllables) == 1076


def test_letters_digits_and_the_won_sign_can_be_read_in_lines_of_both_scripts() -> None:
    known = "ABCXYZabcxyz0123456789₩%+-!?.,"
    assert all(OCR.knows(character, script) for character in known for script in SCRIPTS)


def test_no_hangul_can_be_read_in_a_latin_line() -> None:
    assert not OCR.knows("가", "latin")


def test_hangul_without_its_data_is_an_unsupported_language(tmp_path: Path) -> None:
    image, line = drawn_line("행복")
    ocr = EmbeddedOcr([tmp_path])
    with pytest.raises(StageError, match=r"unsupported language.*tesseract-ocr-kor") as refused:
        ocr.read(image, [line])
    assert str(tmp_path) in str(refused.value)
    with pytest.raises(StageError, match="unsupported language"):
        ocr.knows("행", "hangul")


def test_latin_lines_need_no_korean_data(tmp_path: Path) -> None:
    image, line = drawn_line("Menu", script="latin")
    assert EmbeddedOcr([tmp_path]).read(image, [line])[0].text == "Menu"


def test_the_first_folder_with_the_data_is_taken(tmp_path: Path) -> None:
    image, line = drawn_line("행복")
    assert EmbeddedOcr([tmp_path, *TESSDATA]).read(image, [line])[0].text == "행복"
    (tmp_path / "kor.traineddata").write_bytes(b"damaged")
    with pytest.raises(RuntimeError):
        EmbeddedOcr([tmp_path, *TESSDATA]).read(image, [line])


def test_an_engine_that_fails_is_a_failure_and_no_low_score(tmp_path: Path) -> None:
    (tmp_path / "kor.traineddata").write_bytes(b"damaged")
    image, line = drawn_line("행복")
    with pytest.raises(RuntimeError) as failed:
        EmbeddedOcr([tmp_path]).read(image, [line])
    assert not isinstance(failed.value, StageError)


def test_threads_read_the_same_as_one_after_another() -> None:
    drawn = [drawn_line(text) for text in KOREAN] + [drawn_line(text, script="latin") for text in ENGLISH]
    one_by_one = [OCR.read(image, [line]) for image, line in drawn]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda item: OCR.read(item[0], [item[1]]), drawn * 2))
    assert together == one_by_one * 2


def test_what_was_loaded_and_used_before_a_fork_works_in_the_child() -> None:
    assert OCR.survives_fork
    image, lines = stacked(drawn_line("행복한 하루"), drawn_line("Menu", script="latin"))
    here = [found.text for found in OCR.read(image, lines)]
    reader, writer = os.pipe()
    child = get_context("fork").Process(target=_read_to, args=(writer, image, lines))
    child.start()
    child.join(60)
    os.close(writer)
    with open(reader, encoding="utf-8") as answer:
        assert (child.exitcode, answer.read()) == (0, "\n".join(here))


def _read_to(writer: int, image: np.ndarray, lines: tuple[LineToRead, ...]) -> None:
    os.write(writer, "\n".join(found.text for found in OCR.read(image, lines)).encode())


def test_the_recogniser_names_its_models() -> None:
    assert "kor" in OCR.info.model
    assert "rapidocr" in OCR.info.revision
