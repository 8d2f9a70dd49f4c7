"""Hangul syllables by their shape, for those that Tesseract's Korean data do not know.

Those data hold 1,076 syllables. Of the 2,350 in everyday use (KS X 1001) the others, such as 넉 and 쫄, can
never be read with them. Here a syllable is compared with renderings of all 2,350 in the installed fonts.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resources.ocr.ink import INK_BELOW, Map

FONTS = tuple(
    Path("/usr/share/fonts/truetype/nanum") / f"{name}.ttf"
    for name in (
        "NanumSquareB",
        "NanumGothicBold",
        "NanumSquareRoundB",
        "NanumBarunGothicBold",
        "NanumMyeongjoBold",
        "NanumSquareR",
        "NanumGothic",
    )
)
SIDE_PX = 24
RENDERED_PX = 48
BLUR = 1.0  # forgives a stroke that is a little thinner, thicker or elsewhere
WIDTH_WEIGHT = 0.2
_RENDERING = threading.Lock()


class Match(NamedTuple):
    """The syllable whose rendering is most alike, and how much: 1 is the same shape."""

    syllable: str
    likeness: float


@cache
def everyday_syllables() -> str:
    """The 2,350 syllables of KS X 1001, in order."""
    rows = (bytes((row, cell)) for row in range(0xB0, 0xC9) for cell in range(0xA1, 0xFF))
    return "".join(pair.decode("euc_kr") for pair in rows)


def best_matches(glyphs: Sequence[Map], font: Path) -> list[Match]:
    """For each ink map (0 ink, 1 none) of one syllable alone, the syllable most like it in this font."""
    if not glyphs:
        return []
    table = _likeness([_shape(1 - glyph) for glyph in glyphs], font)
    best = zip(table.argmax(axis=1), table.max(axis=1), strict=True)
    return [Match(everyday_syllables()[index], min(1.0, max(0.0, float(value)))) for index, value in best]


def likeness(glyph: Map, syllable: str, fonts: Sequence[Path]) -> float:
    """How much the ink map of one syllable is like this one; 0 for what is not an everyday syllable."""
    number = everyday_syllables().find(syllable)
    if number < 0:
        return 0.0
    return max((float(_likeness([_shape(1 - glyph)], font)[0, number]) for font in fonts), default=0.0)


def _likeness(shapes: Sequence[_Shape], font: Path) -> NDArray[np.float32]:
    """(shapes, 2350): the correlation of the pixels less a share of how much the proportions differ."""
    known, widths = load(font)
    proportions = np.array([shape.width for shape in shapes], np.float32)
    correlation = np.stack([shape.pixels for shape in shapes]) @ known.T
    return np.asarray(correlation - WIDTH_WEIGHT * np.abs(np.log(proportions)[:, None] - widths), np.float32)


class _Shape(NamedTuple):
    pixels: NDArray[np.float32]  # SIDE_PX², mean 0, norm 1
    width: float  # of its ink, relative to the height


def _shape(ink: Map) -> _Shape:
    """The ink cut tight and brought to one size, so that position, size and strength do not matter."""
    import cv2

    rows, columns = (np.flatnonzero((ink > 1 - INK_BELOW).any(axis=axis)) for axis in (1, 0))
    if not rows.size:  # nothing is like it
        return _Shape(np.zeros(SIDE_PX**2, np.float32), 1.0)
    tight = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    how = cv2.INTER_AREA if tight.shape[0] > SIDE_PX else cv2.INTER_LINEAR
    square = cv2.resize(np.ascontiguousarray(tight), (SIDE_PX, SIDE_PX), interpolation=how)
    pixels = np.asarray(cv2.GaussianBlur(square, (0, 0), BLUR), np.float32).ravel()
    pixels -= pixels.mean()
    return _Shape(
        (pixels / max(float(np.linalg.norm(pixels)), 1e-6)).astype(np.float32),
        tight.shape[1] / tight.shape[0],
    )


def load(font: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Every syllable in this font, rendered once per process: shapes (2350, SIDE_PX²), logarithms of their widths."""
    with _RENDERING:
        return _renderings(str(font))


@cache
def _renderings(font: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    from PIL import ImageFont

    face = ImageFont.truetype(font, RENDERED_PX)
    shapes = []
    for syllable in everyday_syllables():
        mask = face.getmask(syllable)
        ink = np.array(mask, dtype=np.float32).reshape(mask.size[::-1])
        shapes.append(_shape((ink / 255).astype(np.float32)))
    pixels = np.stack([shape.pixels for shape in shapes])
    return pixels, np.log([shape.width for shape in shapes]).astype(np.float32)
