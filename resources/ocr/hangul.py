"""Hangul: Tesseract with Debian's Korean data, through the tesserocr wheel."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resources.ocr.ink import Map
from stages.values import StageError

LANGUAGE = "kor"
LINE_HEIGHT_PX = 48  # of the ink, as the network sees it
MOST_WIDTH_PX = 4000
WHITE_PX = 10
# Its data were trained on Korean fonts, which draw a won sign where ASCII has the backslash.
WON = str.maketrans("\\￦", "₩₩")
# One engine holds one page: readings take turns.
_ENGINE = threading.Lock()


class Piece(NamedTuple):
    """A word or a part of one: how sure (0…1), its ends in fractions of the line's width, a space before?"""

    text: str
    confidence: float
    left: float
    right: float
    spaced: bool


def find_tessdata(folders: Sequence[Path]) -> Path:
    """The first of the folders that holds the Korean data; StageError if none does."""
    for folder in folders:
        if (folder / f"{LANGUAGE}.traineddata").is_file():
            return folder
    raise StageError(
        f"unsupported language: the copy is Korean and there is no {LANGUAGE}.traineddata in"
        f" {', '.join(map(str, folders)) or 'any folder'}; install the Debian package tesseract-ocr-kor or set"
        " TESSDATA_FOLDERS"
    )


def recognize(ink: Map, height_px: int, tessdata: Path) -> tuple[Piece, ...]:
    """The pieces of one line, given as its ink map and the height of its ink in px."""
    from PIL import Image

    page, width = _page(ink, height_px)
    engine = load(tessdata)
    with _ENGINE:
        engine.SetImage(Image.fromarray(page))
        engine.SetSourceResolution(300)
        if not engine.Recognize():
            raise RuntimeError(f"Tesseract could not process a line of {page.shape[1]} × {page.shape[0]} px")
        return tuple(_pieces(engine, width))


def load(tessdata: Path) -> Any:
    """The engine, loaded once per process; used by one thread at a time."""
    with _ENGINE:
        return _engine(str(tessdata))


@cache
def _engine(tessdata: str) -> Any:
    from tesserocr import OEM, PSM, PyTessBaseAPI

    return PyTessBaseAPI(path=tessdata, lang=LANGUAGE, psm=PSM.SINGLE_LINE, oem=OEM.LSTM_ONLY)


def _page(ink: Map, height_px: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], int]:
    """The map as a black-on-white page with a line of LINE_HEIGHT_PX, and the width of the map in it."""
    import cv2

    scale = min(LINE_HEIGHT_PX / height_px, MOST_WIDTH_PX / ink.shape[1])
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    line = cv2.resize((ink * 255).astype(np.uint8), None, fx=scale, fy=scale, interpolation=how)
    return np.pad(line, WHITE_PX, constant_values=255), line.shape[1]


def _pieces(engine: Any, width: int) -> list[Piece]:
    from tesserocr import RIL, iterate_level

    pieces = []
    for item in iterate_level(engine.GetIterator(), RIL.WORD):
        if item.Empty(RIL.WORD):
            continue
        left, _, right, _ = item.BoundingBox(RIL.WORD)
        text = item.GetUTF8Text(RIL.WORD).strip().translate(WON)
        start, end = (min(max((x - WHITE_PX) / width, 0.0), 1.0) for x in (left, right))
        pieces.append(Piece(text, item.Confidence(RIL.WORD) / 100, start, end, item.BlanksBeforeWord() > 0))
    return pieces
