"""Reading known lines back with the recognisers that need no download."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from resources.ocr.embedded import EmbeddedOcr
from resources.settings import Settings
from stages.values import LineToRead, Rect, Rgb, Script, Size, StageError

OCR = EmbeddedOcr(Settings().tessdata_folders)
FONT = "/usr/share/fonts/truetype/nanum/NanumSquareB.ttf"


class Drawn(NamedTuple):
    image: NDArray[np.uint8]
    line: LineToRead


def drawn(text: str, script: Script, size_px: int = 44, fill: Rgb = (255, 255, 255)) -> Drawn:
    image = Image.new("RGB", (1000, 120), (90, 50, 30))
    pen = ImageDraw.Draw(image)
    font = ImageFont.truetype(FONT, size_px, layout_engine=ImageFont.Layout.BASIC)
    pen.text((30, 30), text, font=font, fill=fill)
    left, top, right, bottom = pen.textbbox((30, 30), text, font=font)
    box = Rect.from_corners_px(left - 8, top - 8, right + 8, bottom + 8, Size(width_px=1000, height_px=120))
    return Drawn(np.asarray(image), LineToRead(box=box, script=script, fill=fill))


@pytest.mark.parametrize(
    "text", ["오늘의 커피 한 잔", "아메리카노 4,500원", "떡볶이와 김밥", "예약 02-1234-5678", "첫 방문 고객 30% 쿠폰"]
)
def test_korean_lines_are_read(text: str) -> None:
    [read] = OCR.read(*_one(drawn(text, "hangul")))
    assert read.text.replace(" ", "") == text.replace(" ", "")
    assert read.confidence > 0.5


@pytest.mark.parametrize("text", ["Fresh coffee every day", "Order now! 20% OFF", "Only $4.99 today"])
def test_english_lines_are_read(text: str) -> None:
    [read] = OCR.read(*_one(drawn(text, "latin")))
    assert read.text == text


@pytest.mark.parametrize("script", ["hangul", "latin"])
def test_where_nothing_is_written_nothing_is_read_and_nothing_breaks(script: Script) -> None:
    empty = drawn("가", script)
    [read] = OCR.read(np.full_like(empty.image, 90), (empty.line,))
    assert read.text == ""
    assert read.confidence == 0.0


def test_without_korean_data_korean_is_unsupported_and_not_a_low_score(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"unsupported language.*tesseract-ocr-kor"):
        EmbeddedOcr([tmp_path]).read(*_one(drawn("커피", "hangul")))


def _one(drawn: Drawn) -> tuple[NDArray[np.uint8], tuple[LineToRead]]:
    return drawn.image, (drawn.line,)
