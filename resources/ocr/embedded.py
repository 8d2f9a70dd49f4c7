"""The recogniser that needs no download: Tesseract for lines with Hangul, PP-OCR for the others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from resources.loading.cpu_limit import limit_to_cpu_count
from resources.ocr import line_pixels
from resources.ocr.ink import Line, cut_out
from resources.ocr.ppocr import PpOcr
from resources.ocr.tesseract import Tesseract
from stages.imaging.arrays import Picture
from stages.values import LineRead, LineToRead, ModelInfo, Script

SURE = 0.8
LATIN = re.compile(r"[ -~₩]+")
HEAD = re.compile(r"[^가-힣]*[^가-힣.,!?~·…“”:;()\-]+[^가-힣]*")  # what is no Hangul, and more than punctuation


class EmbeddedOcr:
    """Loaded once for all threads. In a line with Hangul, PP-OCR reads the letters and digits that begin a word."""

    survives_fork = True  # both engines work in the thread that calls them

    def __init__(self, tessdata_folders: Sequence[Path]) -> None:
        self.tesseract = Tesseract(tessdata_folders)
        self.ppocr = PpOcr()

    @property
    def info(self) -> ModelInfo:
        revision = ", ".join(f"{package} {version(package)}" for package in ("tesserocr", "rapidocr"))
        return ModelInfo(provider="embedded", model="Tesseract kor + PP-OCR", revision=revision)

    def load(self) -> None:
        self.ppocr.engine.get()
        self.tesseract.engine.get()

    def knows(self, character: str, script: Script) -> bool:
        if script == "latin":
            return self.ppocr.knows(character)
        return bool(LATIN.fullmatch(character)) or self.tesseract.knows(character)

    @limit_to_cpu_count
    def read(self, image: Picture, lines: Sequence[LineToRead]) -> tuple[LineRead, ...]:
        return tuple(self._read_line(image, line) for line in lines)

    def _read_line(self, image: Picture, line: LineToRead) -> LineRead:
        found = cut_out(image, line_pixels(line, image), line.fill)
        if not found.ink.any() or found.map.shape[1] > 100 * len(found.map):  # so long a line is no text, but a rule
            return LineRead(text="", confidence=0.0)
        return self._read_hangul(found) if line.script == "hangul" else self.ppocr.read(found)[0]

    def _read_hangul(self, line: Line) -> LineRead:
        read, lefts = self.tesseract.read(line)
        words = zip(read.text.split(" "), line.cut(lefts), strict=True)
        return read.model_copy(update={"text": " ".join(self._corrected(word, part) for word, part in words)})

    def _corrected(self, word: str, part: Line) -> str:
        """The word with PP-OCR's reading of its beginning, up to the first syllable."""
        head = HEAD.match(word)
        if head is None or not part.ink.any():
            return word
        reads = self.ppocr.read(part)
        if head[0] == word and reads[0].confidence >= SURE and LATIN.fullmatch(reads[0].text):
            return reads[0].text
        # PP-OCR reads anything for a syllable: take only as much from its beginning as is most like Tesseract's head.
        latin = [match[0] for read in reads if (match := LATIN.match(read.text))]
        heads = [text[: end + 1] for text in latin for end in range(len(text))] or [head[0]]
        best = min(heads, key=lambda text: (Levenshtein.distance(text, head[0]), -len(text)))
        return word if word.startswith(best) else best + word[head.end() :]
