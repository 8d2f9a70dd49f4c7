"""Recognisers that need no download."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.ocr import line_pixels
from resources.ocr.glyph_map import glyph_map
from variant_assets.stages.values import LineRead, LineToRead, ModelInfo, StageError

Picture = NDArray[np.uint8]

_PAPER = 255
_NUMBER = re.compile(r"\d(?:[\d.,:\-]*\d)?")


class EmbeddedOcr:
    """PP-OCR for Latin lines, Tesseract for lines with Hangul; both read the known lines, in any number of threads.

    Tesseract reads a map of the distance to the known text colour at several sizes, and the reading it is surest of
    counts. It mistakes commas for full stops, so numbers with the same digits are taken from PP-OCR.
    """

    _HEIGHTS_PX = (28, 36, 44)

    info = ModelInfo(
        provider="embedded",
        model="PP-OCRv6 small + tesseract kor",
        revision="1",
        parameters={"glyph_heights_px": ",".join(map(str, _HEIGHTS_PX))},
    )

    def __init__(self, tessdata_folders: Sequence[Path]) -> None:
        self._tessdata_folders = tuple(tessdata_folders)
        self._lock = threading.Lock()

    def read(self, image: Picture, lines: Sequence[LineToRead]) -> tuple[LineRead, ...]:
        with self._lock:
            return tuple(
                self._read_korean(image, line) if line.script == "hangul" else self._read_latin(image, line)
                for line in lines
            )

    def _read_latin(self, image: Picture, line: LineToRead) -> LineRead:
        left, top, right, bottom = line_pixels(line, image)
        blue_first = np.ascontiguousarray(image[top:bottom, left:right, ::-1])
        result = self._latin(blue_first, use_det=False, use_cls=False, use_rec=True)
        text = result.txts[0] if result.txts else ""
        return LineRead(text=text.strip(), confidence=float(result.scores[0]) if text else 0.0)

    def _read_korean(self, image: Picture, line: LineToRead) -> LineRead:
        crop = line_pixels(line, image)
        readings = [self._tesseract(glyph_map(image, crop, line.fill, height)) for height in self._HEIGHTS_PX]
        best = max(readings, key=lambda reading: reading.confidence)
        if not _NUMBER.search(best.text):
            return best
        return best.model_copy(update={"text": with_numbers_of(best.text, self._read_latin(image, line).text)})

    def _tesseract(self, glyphs: Picture) -> LineRead:
        from PIL import Image

        if (glyphs == _PAPER).all():
            # Tesseract sees letters in an empty picture.
            return LineRead(text="", confidence=0.0)
        self._korean.SetImage(Image.fromarray(glyphs))
        # Korean keyboards and fonts put ₩ where others have the backslash.
        text = self._korean.GetUTF8Text().strip().replace("\\", "₩")
        return LineRead(text=text, confidence=max(0, self._korean.MeanTextConf()) / 100 if text else 0.0)

    @cached_property
    def _latin(self) -> Any:
        from rapidocr import RapidOCR

        parameters = {
            "Global.log_level": "error",
            "Global.use_det": False,
            "Global.use_cls": False,
            "EngineConfig.onnxruntime.intra_op_num_threads": 2,
        }
        return RapidOCR(params=parameters)

    @cached_property
    def _korean(self) -> Any:
        folder = self._folder_with_korean()
        with _one_thread():
            import tesserocr

            return tesserocr.PyTessBaseAPI(
                path=str(folder), lang="kor", psm=tesserocr.PSM.SINGLE_LINE, oem=tesserocr.OEM.LSTM_ONLY
            )

    def _folder_with_korean(self) -> Path:
        for folder in self._tessdata_folders:
            if (folder / "kor.traineddata").is_file():
                return folder
        raise StageError(
            "unsupported language: the copy is Korean and there is no kor.traineddata in"
            f" {', '.join(map(str, self._tessdata_folders)) or 'any folder'}; install the Debian package"
            " tesseract-ocr-kor or set TESSDATA_FOLDERS"
        )


def with_numbers_of(text: str, other: str) -> str:
    """`text`, with each number written as in `other` where that has the same digits in it."""
    spelling = {re.sub(r"\D", "", number): number for number in _NUMBER.findall(other)}
    return _NUMBER.sub(lambda match: spelling.get(re.sub(r"\D", "", match[0]), match[0]), text)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Tesseract's threads cost more than they give on single lines; it reads their number when it is loaded."""
    before = os.environ.get("OMP_THREAD_LIMIT")
    os.environ["OMP_THREAD_LIMIT"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_THREAD_LIMIT"]
        else:
            os.environ["OMP_THREAD_LIMIT"] = before
