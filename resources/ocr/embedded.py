"""The recogniser that needs no download: PP-OCR for Latin lines, Tesseract and the shapes of syllables for Hangul."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from resources.loading.cpu_limit import limit_to_cpu_count
from resources.ocr import hangul, latin, line_pixels, mixed, syllables
from stages.imaging.arrays import Picture
from stages.values import LineRead, LineToRead, ModelInfo


class EmbeddedOcr:
    """Reads known lines with networks and fonts that are installed, in any number of threads.

    `fonts` are the faces to compare syllables with, the likeliest first; those not installed are left out. Networks
    and fonts are loaded once per process, whatever the number of recognisers.
    """

    def __init__(self, tessdata_folders: Sequence[Path], fonts: Sequence[Path] = syllables.FONTS) -> None:
        self._tessdata_folders = tuple(tessdata_folders)
        self._fonts = tuple(font for font in fonts if font.is_file())

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            provider="embedded",
            model=f"{latin.MODEL} + tesseract {hangul.LANGUAGE} + shapes",
            revision=f"rapidocr {version('rapidocr')}, tesserocr {version('tesserocr')}",
            parameters={"fonts": ",".join(font.stem for font in self._fonts)},
        )

    # Its network runs in the thread that calls it.
    survives_fork = True

    def load(self) -> None:
        latin.load()
        hangul.load(hangul.find_tessdata(self._tessdata_folders))
        for font in self._fonts:
            syllables.load(font)

    @limit_to_cpu_count
    def read(self, image: Picture, lines: Sequence[LineToRead]) -> tuple[LineRead, ...]:
        return tuple(self._read_line(image, line) for line in lines)

    def _read_line(self, image: Picture, line: LineToRead) -> LineRead:
        corners_px = line_pixels(line, image)
        if line.script == "hangul":
            tessdata = hangul.find_tessdata(self._tessdata_folders)
            return mixed.read_line(image, corners_px, line.fill, tessdata, self._fonts)
        return latin.read_line(image, corners_px, line.fill)
