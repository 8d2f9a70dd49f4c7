"""The recogniser that needs no download: PP-OCR for Latin lines, and Tesseract and shapes for Hangul."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from resources.images import Pixels
from resources.ocr import hangul, latin, mixed, syllables
from resources.ocr.ink import box_px
from variant_assets.stages.values import LineRead, LineToRead, ModelInfo


class EmbeddedOcr:
    """Reads known lines with networks and fonts that are installed; each is loaded once per process.

    `tessdata` are the folders to look for kor.traineddata in; `fonts` are the faces to compare syllables
    with, the likeliest first, those not installed left out. Safe to use from several threads.
    """

    def __init__(
        self, tessdata: Sequence[Path] = hangul.TESSDATA, fonts: Sequence[Path] = syllables.FONTS
    ) -> None:
        self._tessdata = tuple(tessdata)
        self._fonts = tuple(font for font in fonts if font.is_file())

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            provider="embedded",
            model=f"{latin.MODEL} + tesseract {hangul.LANGUAGE} + shapes",
            revision=f"rapidocr {version('rapidocr')}, tesserocr {version('tesserocr')}",
            parameters={"fonts": ", ".join(font.stem for font in self._fonts)},
        )

    def read(self, image: Pixels, lines: Sequence[LineToRead]) -> tuple[LineRead, ...]:
        """The text of each line of a uint8 RGB picture (height, width, 3), in the order of `lines`.

        Raises UnsupportedLanguage if a line has Hangul and no kor.traineddata is installed.
        """
        return tuple(self._read_line(image, line) for line in lines)

    def _read_line(self, image: Pixels, line: LineToRead) -> LineRead:
        corners = box_px(image, line.box)
        if line.script == "hangul":
            tessdata = hangul.find_tessdata(self._tessdata)
            return mixed.read_line(image, corners, line.fill, tessdata, self._fonts)
        return latin.read_line(image, corners, line.fill)
