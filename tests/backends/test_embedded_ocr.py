"""The embedded recogniser on lines drawn in installed fonts."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from resources.ocr import hangul
from resources.ocr.embedded import EmbeddedOcr
from resources.settings import Settings
from stages.values import LineToRead, Rect, Script, StageError
from testing.drawing import drawn_line

TESSDATA = Settings().tessdata_folders
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
]
RARE = [
    "쫄깃한 면발, 깊은 국물",
    "찜닭, 볶음밥, 짬뽕까지",
    "넉넉한 양, 착한 가격!",
    "숯불에 구운 닭갈비 12,900원",
]
ENGLISH = [
    "Fresh coffee every morning",
    "50% OFF today only",
    "Free delivery over ₩20,000",
    "Order now: 02-1234-5678",
]


@pytest.fixture(scope="module")
def ocr() -> EmbeddedOcr:
    return EmbeddedOcr(TESSDATA)


@pytest.mark.parametrize("size_px", [28, 48, 80])
@pytest.mark.parametrize("text", KOREAN)
def test_korean_lines_are_read_back_exactly(ocr: EmbeddedOcr, text: str, size_px: int) -> None:
    image, line = drawn_line(text, size_px=size_px)
    (read,) = ocr.read(image, [line])
    assert read.text == text
    assert read.confidence > 0.8


@pytest.mark.parametrize("text", RARE)
def test_syllables_that_tesseract_does_not_know_are_read_by_their_shape(ocr: EmbeddedOcr, text: str) -> None:
    image, line = drawn_line(text)
    assert ocr.read(image, [line])[0].text == text


def test_a_rare_syllable_needs_the_shapes() -> None:
    image, line = drawn_line("넉넉한 양")
    assert EmbeddedOcr(TESSDATA, fonts=()).read(image, [line])[0].text != "넉넉한 양"


@pytest.mark.parametrize("font", ["NanumGothicBold.ttf", "NanumMyeongjoBold.ttf", "NanumGothic.ttf"])
def test_other_fonts_and_dark_text_are_read_too(ocr: EmbeddedOcr, font: str) -> None:
    image, line = drawn_line("신선한 커피 한 잔의 여유", font=font, fill=(20, 20, 20), background=(240, 220, 160))
    assert ocr.read(image, [line])[0].text == "신선한 커피 한 잔의 여유"


@pytest.mark.parametrize("size_px", [24, 40, 90])
@pytest.mark.parametrize("text", ENGLISH)
def test_english_lines_are_read_back_exactly(ocr: EmbeddedOcr, text: str, size_px: int) -> None:
    image, line = drawn_line(text, script="latin", size_px=size_px)
    assert ocr.read(image, [line])[0].text == text


def test_a_w_without_a_bar_stays_a_w(ocr: EmbeddedOcr) -> None:
    image, line = drawn_line("Over W20,000", script="latin")
    assert ocr.read(image, [line])[0].text == "Over W20,000"


def test_several_lines_come_back_in_their_order(ocr: EmbeddedOcr) -> None:
    first, one = drawn_line("행복", size_px=40)
    second, two = drawn_line("Menu", script="latin", size_px=40)
    width = max(first.shape[1], second.shape[1])
    image = np.full((first.shape[0] + second.shape[0], width, 3), (40, 40, 60), np.uint8)
    image[: first.shape[0], : first.shape[1]] = first
    image[first.shape[0] :, : second.shape[1]] = second

    def moved(line: LineToRead, source: np.ndarray, top: int) -> LineToRead:
        y, x = source.shape[0] / image.shape[0], source.shape[1] / width
        box = line.box
        return line.model_copy(
            update={
                "box": Rect(
                    x=box.x * x,
                    y=box.y * y + top / image.shape[0],
                    width=box.width * x,
                    height=box.height * y,
                )
            }
        )

    lines = [moved(two, second, first.shape[0]), moved(one, first, 0)]
    assert [read.text for read in ocr.read(image, lines)] == ["Menu", "행복"]


@pytest.mark.parametrize("script", ["hangul", "latin"])
def test_nothing_to_read_is_an_empty_reading_and_no_failure(ocr: EmbeddedOcr, script: Script) -> None:
    image, line = drawn_line("행복", script=script)
    (read,) = ocr.read(np.full_like(image, 90), [line])
    assert read.text == ""
    assert read.confidence == 0


@pytest.mark.parametrize("script", ["hangul", "latin"])
def test_noise_reads_as_nothing_sure(ocr: EmbeddedOcr, script: Script) -> None:
    image, line = drawn_line("행복한 하루", script=script)
    noise = np.random.default_rng(3).integers(0, 256, image.shape, dtype=np.uint8)
    (read,) = ocr.read(noise, [line])
    assert read.text != "행복한 하루"
    assert read.confidence < 0.8


def test_boxes_at_the_edge_and_of_one_pixel_are_no_failure(ocr: EmbeddedOcr) -> None:
    image, line = drawn_line("행복")
    for box in (
        Rect(x=0, y=0, width=1, height=1),
        Rect(x=1, y=1, width=0, height=0),
        Rect(x=0, y=0.5, width=1, height=0),
    ):
        for script in ("hangul", "latin"):
            ocr.read(image, [line.model_copy(update={"box": box, "script": script})])


def test_hangul_without_its_data_is_an_unsupported_language(tmp_path: Path) -> None:
    image, line = drawn_line("행복")
    with pytest.raises(StageError, match=r"unsupported language.*tesseract-ocr-kor") as refused:
        EmbeddedOcr([tmp_path]).read(image, [line])
    assert str(tmp_path) in str(refused.value)


def test_latin_lines_need_no_korean_data(tmp_path: Path) -> None:
    image, line = drawn_line("Menu", script="latin")
    assert EmbeddedOcr([tmp_path]).read(image, [line])[0].text == "Menu"


def test_an_engine_that_fails_is_a_failure_and_no_low_score(tmp_path: Path) -> None:
    (tmp_path / "kor.traineddata").write_bytes(b"damaged")
    image, line = drawn_line("행복")
    with pytest.raises(RuntimeError) as failed:
        EmbeddedOcr([tmp_path]).read(image, [line])
    assert not isinstance(failed.value, StageError)


def test_threads_read_the_same_as_one_after_another(ocr: EmbeddedOcr) -> None:
    drawn = [drawn_line(text) for text in KOREAN] + [drawn_line(text, script="latin") for text in ENGLISH]
    one_by_one = [ocr.read(image, [line]) for image, line in drawn]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda item: ocr.read(item[0], [item[1]]), drawn * 2))
    assert together == one_by_one * 2


def test_the_first_folder_with_the_data_is_taken(tmp_path: Path) -> None:
    (tmp_path / "kor.traineddata").touch()
    assert hangul.find_tessdata([tmp_path / "none", tmp_path, *TESSDATA]) == tmp_path


def test_the_recogniser_names_its_models(ocr: EmbeddedOcr) -> None:
    assert "kor" in ocr.info.model
    assert "rapidocr" in ocr.info.revision
