"""One line with Hangul, read by three: Tesseract, the shapes of the syllables, and PP-OCR.

Tesseract and the shapes see syllables, each with weaknesses that the other does not have: one knows no rare
syllable, the other no language. Letters, digits and signs between the syllables are PP-OCR's, if it is sure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from resources.ocr import hangul, latin
from resources.ocr.align import align
from resources.ocr.cells import Cell, read_cells
from resources.ocr.hangul import Piece
from resources.ocr.ink import MARGIN_PX, Corners, InkRegion, crop, find_ink
from resources.ocr.syllables import likeness
from stages.imaging.arrays import Picture
from stages.values import LineRead, Rgb

SURE_HANGUL = 0.8  # below it, it may be a letter or digit taken for a syllable
# Measured where the two disagree: a syllable of which Tesseract, which knows words, is so sure is wrong only
# if another is almost the very shape and so much more like it.
SURE_WORD, CERTAIN_WORD = 0.5, 0.93
SAME_SHAPE, OUTDOES = 0.9, 0.05
LIKELY_SHAPE = 0.75
CLOSE, SPACE, FAR = 0.15, 0.27, 0.4  # of the line's height: never, likely and always a space
HANGUL = re.compile("[가-힣]")
STROKES = ("I", "l", "|")  # what a vowel cut off from its syllable looks like
PUNCTUATION = re.compile("[.,!?~·…]+")
LATIN = re.compile(r"[A-Za-z0-9₩%&@#+\-*/=.,:;!?'\"()~ ]+")


class Line(NamedTuple):
    """A line to read: the picture, where its ink is, and the fonts to compare with."""

    image: Picture
    found: InkRegion
    fonts: Sequence[Path]


class Sign(NamedTuple):
    """One sign or more, if a space is before it, and the columns of the ink map it takes; None: not known."""

    text: str
    confidence: float
    spaced: bool | None
    columns: tuple[int, int] | None

    @property
    def is_hangul(self) -> bool:
        return bool(HANGUL.fullmatch(self.text))


def read_line(image: Picture, corners_px: Corners, fill: Rgb, tessdata: Path, fonts: Sequence[Path]) -> LineRead:
    """The line of this colour within these corners; words are joined by one space."""
    found = find_ink(image, corners_px, fill)
    if found is None:
        return LineRead(text="", confidence=0.0)
    written = list(_signs(hangul.recognize(found.map, found.height_px, tessdata)))
    cells, familiar = read_cells(found.map, found.height_px, fonts)
    line = Line(image, found, familiar)
    merged = [_merge(line, sign, cell) for sign, cell in align(written, cells)]
    read = list(_read_parts(line, merged, lambda sign: sign.is_hangul and sign.confidence >= SURE_HANGUL))
    return LineRead(text=_joined(read, found.height_px), confidence=mean_confidence(read))


def mean_confidence(signs: Sequence[Sign]) -> float:
    """The mean over all signs, 0 if there is none."""
    total = sum(len(sign.text) for sign in signs)
    mean = sum(sign.confidence * len(sign.text) for sign in signs) / total if total else 0.0
    return min(1.0, max(0.0, mean))


def _signs(pieces: Iterable[Piece]) -> Iterator[Sign]:
    for piece in pieces:
        for index, text in enumerate(piece.text):
            yield Sign(text, piece.confidence, piece.spaced and index == 0, None)


def _merge(line: Line, sign: Sign | None, cell: Cell | None) -> Sign:
    """What Tesseract and the shapes say of one place. Without Hangul it is left to PP-OCR."""
    if cell is None:
        assert sign is not None
        return _alone(sign)
    columns = (cell.left, cell.right)
    if sign is None:
        return Sign(cell.syllable, cell.likeness, None, columns)
    if not cell.syllable:
        return _alone(sign)._replace(columns=columns)
    if sign.text == cell.syllable:
        return sign._replace(confidence=max(sign.confidence, cell.likeness), columns=columns)
    if _outdoes(line, sign, cell):
        return sign._replace(text=cell.syllable, confidence=cell.likeness, columns=columns)
    return sign._replace(columns=columns)


def _alone(sign: Sign) -> Sign:
    """A syllable that only Tesseract sees is a doubtful one."""
    return sign._replace(confidence=sign.confidence / 2) if sign.is_hangul else sign


def _outdoes(line: Line, sign: Sign, cell: Cell) -> bool:
    """Whether the shape's syllable is to be believed against Tesseract's sign."""
    if not sign.is_hangul or sign.confidence < SURE_WORD:
        return cell.likeness >= max(LIKELY_SHAPE, sign.confidence)
    if sign.confidence >= CERTAIN_WORD:
        return False
    own = likeness(line.found.map[:, cell.left : cell.right], sign.text, line.fonts)
    return cell.likeness >= SAME_SHAPE and cell.likeness > own + OUTDOES


def _read_parts(line: Line, signs: Sequence[Sign], kind: Callable[[Sign], bool]) -> Iterator[Sign]:
    """The stretches that are of this kind as they are, and PP-OCR's reading of the others."""
    for known, stretch in groupby(signs, kind):
        part = list(stretch)
        yield from part if known else _read_part(line, part)


def _read_part(line: Line, part: list[Sign]) -> Iterable[Sign]:
    """PP-OCR's reading if it is sure, else the same without the syllables at its side, else Tesseract's."""
    written = [sign for sign in part if sign.text]
    columns = [sign.columns for sign in part if sign.columns]
    if not columns or (len(written) == len(part) and _is_punctuation(part)):
        return written
    left, right = min(start for start, _ in columns), max(end for _, end in columns)
    read = _latin(line, left, right)
    if read is not None and not written and read.text in STROKES:
        return []
    has_hangul = any(sign.is_hangul for sign in part)
    if read is not None and not (has_hangul and len(read.text.replace(" ", "")) < len(columns)):
        return [Sign(read.text, read.confidence, any(sign.spaced for sign in part) or None, (left, right))]
    if has_hangul:
        return _read_parts(line, part, lambda sign: sign.is_hangul)
    return written


def _is_punctuation(part: Sequence[Sign]) -> bool:
    return all(PUNCTUATION.fullmatch(sign.text) and sign.confidence >= SURE_WORD for sign in part)


def _latin(line: Line, left: int, right: int) -> LineRead | None:
    """PP-OCR's reading of these columns of the ink map, if it is sure of it."""
    x, top, _, bottom = line.found.corners_px
    corners = (x - MARGIN_PX + left, top, x - MARGIN_PX + right, bottom)
    signs = latin.recognize(crop(line.image, corners, round(line.found.height_px * latin.PADDING)))
    read = latin.joined(signs, line.found.map[:, left:right])
    if not LATIN.fullmatch(read.text) or latin.least_confidence(signs) < latin.SURE:
        return None
    return read


def _joined(signs: Sequence[Sign], height_px: int) -> str:
    """The signs as text; where the gap between two could be a space or not, Tesseract decides."""
    text, end = "", None
    for sign in signs:
        gap = None if end is None or sign.columns is None else (sign.columns[0] - end) / height_px
        spaced = bool(sign.spaced)
        if gap is not None and (sign.spaced is None or not CLOSE <= gap <= FAR):
            spaced = gap > SPACE
        text += f" {sign.text}" if spaced and text else sign.text
        end = sign.columns[1] if sign.columns else None
    return text
