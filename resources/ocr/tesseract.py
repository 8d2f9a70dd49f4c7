"""Tesseract with its Korean data: 1,076 syllables, digits and common signs, but no Latin letter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resources.loading.loaded_once import LoadedOnce
from resources.ocr.ink import Line
from stages.values import LineRead, StageError

PAGE_HEIGHT_PX = 52  # with letters of about 36 px; when they are larger, more syllables are taken for others
WON = "\\"  # what the data, trained on Korean fonts, call the won sign


class Tesseract:
    """Its engine holds one page, so the threads of a process take turns. Without the data: StageError."""

    def __init__(self, tessdata_folders: Sequence[Path]) -> None:
        self._folders = tuple(tessdata_folders)
        self.engine: LoadedOnce[Any] = LoadedOnce(self._load)

    def knows(self, character: str) -> bool:
        return bool(self.engine.get().IsValidCharacter(WON if character == "₩" else character))

    def read(self, line: Line) -> tuple[LineRead, list[float]]:
        """The line, and after each of its spaces the column where the next word begins, give or take a character."""
        from PIL import Image, ImageOps
        from tesserocr import PSM

        scale = PAGE_HEIGHT_PX / len(line.map)
        page = ImageOps.scale(Image.fromarray((line.map * 255).astype(np.uint8)), scale, Image.Resampling.LANCZOS)
        with self.engine.in_use() as engine:
            text, lefts = _words(engine, page, PSM.SINGLE_LINE)
            if not text:  # it sees no line where it knows few of the syllables
                text, lefts = _words(engine, page, PSM.RAW_LINE)
            confidence = engine.MeanTextConf() / 100
        return LineRead(text=text.replace(WON, "₩"), confidence=confidence), [left / scale for left in lefts]

    def _load(self) -> Any:
        from tesserocr import OEM, PyTessBaseAPI

        for folder in self._folders:
            if (folder / "kor.traineddata").is_file():
                return PyTessBaseAPI(path=str(folder), lang="kor", oem=OEM.LSTM_ONLY)
        raise StageError(
            f"unsupported language: no kor.traineddata in {', '.join(map(str, self._folders)) or 'any folder'} to read"
            " Korean with; install the Debian package tesseract-ocr-kor or set TESSDATA_FOLDERS"
        )


def _words(engine: Any, page: Any, mode: int) -> tuple[str, list[float]]:
    """Tesseract also begins a word where the kind of character changes; here only a space begins one."""
    from tesserocr import RIL, iterate_level

    engine.SetPageSegMode(mode)
    engine.SetImage(page)
    engine.SetSourceResolution(300)
    if not engine.Recognize():
        raise RuntimeError(f"Tesseract could not process a line of {page.width} × {page.height} px")
    text, lefts = "", []
    for word in iterate_level(engine.GetIterator(), RIL.WORD):
        if not word.Empty(RIL.WORD):
            if text and word.BlanksBeforeWord():
                text += " "
                lefts.append(word.BoundingBox(RIL.WORD)[0])
            text += "".join(word.GetUTF8Text(RIL.WORD).split())
    return text, lefts
