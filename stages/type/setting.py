"""Sets the copy in a rectangle: in the largest size that fits, in balanced lines, placed by their ink."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from stages.imaging.geometry import Corners, enclosing
from stages.type.ad_copy import Parts
from stages.type.fonts import Fonts
from stages.type.glyphs import line_ink, placed_runs
from stages.type.line_breaking import Level, Widths, balanced, fewest_lines, measured
from stages.values import FontFace, GlyphRun, Size, SizeCategory

Align = Literal["left", "center", "right"]
Run = tuple[str, FontFace]

REFERENCE_SHORT_SIDE_PX = 1080
SMALLEST_PX, LARGEST_PX = 28, 96
LARGEST_BY_CATEGORY: dict[SizeCategory, int] = {"small": 64, "medium": 84, "large": LARGEST_PX}
SMALLEST_DRAWABLE_PX = 14
"""Below this a Hangul syllable no longer has room for its strokes, however small the picture."""

LEADING = 1.26
SECONDARY_SHARE = 0.56
SECONDARY_LEADING = 1.38
SECONDARY_GAP = 0.5
"""Extra space above the secondary text, in its own font size."""

_SECONDARY_AT_MOST = 0.8

_WORD_BREAKS_WORTH = 0.6
"""Words stay whole unless breaking inside them allows type more than 1/0.6 as large."""

_EM_PX = 256


class Faces(NamedTuple):
    headline: FontFace
    secondary: FontFace


class TypeSizeRange(NamedTuple):
    smallest_px: int
    largest_px: int


class Paragraph(NamedTuple):
    lines: tuple[str, ...]
    face: FontFace
    font_size_px: int
    leading_px: int


class SetLine(NamedTuple):
    """A placed line; `ink` is (left, top, right, bottom) in px of the picture."""

    text: str
    runs: tuple[GlyphRun, ...]
    font_size_px: int
    ink: Corners


class Block(NamedTuple):
    """Text as it is set. `headline` is the first paragraph; its size and line height are those of the layout."""

    lines: tuple[SetLine, ...]
    headline: Paragraph

    @property
    def ink(self) -> Corners:
        return enclosing(line.ink for line in self.lines)


def type_size_range(size: Size, category: SizeCategory) -> TypeSizeRange:
    """Type sizes in px for a picture: 28 … 96 at a short side of 1080 px, in proportion elsewhere."""
    scale = min(size.width_px, size.height_px) / REFERENCE_SHORT_SIDE_PX
    smallest = max(SMALLEST_DRAWABLE_PX, round(SMALLEST_PX * scale))
    return TypeSizeRange(smallest, max(smallest, round(LARGEST_BY_CATEGORY[category] * scale)))


def set_in(
    parts: Parts, box: Corners, align: Align, faces: Faces, allowed: TypeSizeRange, fonts: Fonts
) -> Block | None:
    """The copy in `box` (left, top, right, bottom in px) at the largest size that fits; None without one.

    A secondary paragraph is set smaller; when there is no room for two sizes, both are set as one text.
    """
    width, height = box[2] - box[0], box[3] - box[1]
    for shape in (parts, parts.as_one) if parts.secondary else (parts.as_one,):
        for paragraphs in _candidates(shape, width, height, faces, allowed, fonts):
            block = _placed(paragraphs, box, align, fonts)
            if _inside(block.ink, box):
                return block
    return None


def _candidates(
    parts: Parts, width: int, height: int, faces: Faces, allowed: TypeSizeRange, fonts: Fonts
) -> Iterator[tuple[Paragraph, ...]]:
    """Settings to try, best first. The estimate of the height may be a few px too low, so smaller sizes follow."""
    fits = {level: _largest(parts, level, width, height, faces, allowed, fonts) for level in Level}
    for level in sorted(Level, key=lambda level: _worth(level, fits), reverse=True):
        for size_px in range(fits[level], allowed.smallest_px - 1, -1):
            paragraphs = _paragraphs(parts, level, size_px, width, faces, allowed, fonts)
            if paragraphs is not None:
                yield paragraphs


def _worth(level: Level, fits: dict[Level, int]) -> float:
    return fits[level] * _WORD_BREAKS_WORTH**level


def _largest(
    parts: Parts, level: Level, width: int, height: int, faces: Faces, allowed: TypeSizeRange, fonts: Fonts
) -> int:
    """The largest size whose estimated block fits, by bisection; the smallest size less one when none does."""
    ems = (_em_widths(faces.headline, fonts), _em_widths(faces.secondary, fonts))
    low, high = allowed.smallest_px - 1, allowed.largest_px
    while low < high:
        middle = (low + high + 1) // 2
        block = estimate(parts, level, middle, width, ems, allowed)
        low, high = (middle, high) if block is not None and block.height_px <= height else (low, middle - 1)
    return low


class Estimate(NamedTuple):
    lines: int
    height_px: float


def estimate(
    parts: Parts, level: Level, size_px: int, width_px: float, ems: tuple[Widths, Widths], allowed: TypeSizeRange
) -> Estimate | None:
    """Lines and height of the block at a headline size, from widths in em; None when a word is too wide."""
    height, count = 0.0, 0
    for (text, font_size_px, leading), em in zip(_sizes(parts, size_px, allowed), ems, strict=False):
        lines = fewest_lines(measured(text, level, em), width_px / font_size_px)
        if lines is None:
            return None
        # The first line needs its glyphs only (about one em), each further one its leading.
        first = (leading + SECONDARY_GAP) * font_size_px if count else font_size_px
        height, count = height + first + (lines - 1) * leading * font_size_px, count + lines
    return Estimate(count, height)


def _sizes(parts: Parts, size_px: int, allowed: TypeSizeRange) -> list[tuple[str, int, float]]:
    """(text, size in px, leading in em) of each paragraph."""
    if not parts.secondary:
        return [(parts.headline, size_px, LEADING)]
    small_px = max(allowed.smallest_px, round(SECONDARY_SHARE * size_px))
    return [(parts.headline, size_px, LEADING), (parts.secondary, small_px, SECONDARY_LEADING)]


def two_sizes_read_as_two(size_px: int, allowed: TypeSizeRange) -> bool:
    """Whether the sizes of headline and secondary text differ enough; nearly equal ones look like a mistake."""
    return max(allowed.smallest_px, round(SECONDARY_SHARE * size_px)) <= _SECONDARY_AT_MOST * size_px


def _paragraphs(
    parts: Parts, level: Level, size_px: int, width: int, faces: Faces, allowed: TypeSizeRange, fonts: Fonts
) -> tuple[Paragraph, ...] | None:
    if parts.secondary and not two_sizes_read_as_two(size_px, allowed):
        return None
    paragraphs: list[Paragraph] = []
    for (text, font_size_px, leading), face in zip(_sizes(parts, size_px, allowed), faces, strict=False):
        words = measured(text, level, _em_widths(face, fonts))
        count = fewest_lines(words, width / font_size_px)
        lines = balanced(words, count, width / font_size_px) if count else None
        if lines is None:
            return None
        paragraphs.append(Paragraph(lines, face, font_size_px, round(leading * font_size_px)))
    return tuple(paragraphs)


class _EmWidths:
    """Advance widths in em, measured once per character, at a size where rounding to whole pixels hardly counts."""

    def __init__(self, face: FontFace, fonts: Fonts) -> None:
        self._face, self._fonts = face, fonts
        self._character = lru_cache(maxsize=None)(self._measure)

    def __call__(self, text: str) -> float:
        return sum(map(self._character, text))

    def _measure(self, character: str) -> float:
        ((_, face),) = self._fonts.runs(character, self._face)
        return self._fonts.load(face, _EM_PX).getlength(character) / _EM_PX


@lru_cache(maxsize=32)
def _em_widths(face: FontFace, fonts: Fonts) -> _EmWidths:
    return _EmWidths(face, fonts)


def _placed(paragraphs: tuple[Paragraph, ...], box: Corners, align: Align, fonts: Fonts) -> Block:
    """The lines aligned by their ink, not by their advance widths; the block centred in height."""
    drafts: list[tuple[str, Paragraph, tuple[Run, ...], Corners, int]] = []
    baseline = 0
    for number, paragraph in enumerate(paragraphs):
        baseline += round(SECONDARY_GAP * paragraph.font_size_px) if number else 0
        for text in paragraph.lines:
            runs = fonts.runs(text, paragraph.face)
            baseline += paragraph.leading_px if drafts else 0
            drafts.append((text, paragraph, runs, line_ink(runs, paragraph.font_size_px, fonts), baseline))
    top = min(ink[1] + y for *_, ink, y in drafts)
    bottom = max(ink[3] + y for *_, ink, y in drafts)
    shift = box[1] + (box[3] - box[1] - (bottom - top)) // 2 - top
    lines = [_line(text, p, runs, ink, y + shift, box, align, fonts) for text, p, runs, ink, y in drafts]
    return Block(tuple(lines), paragraphs[0])


def _line(
    text: str,
    paragraph: Paragraph,
    runs: tuple[Run, ...],
    ink: Corners,
    y: int,
    box: Corners,
    align: Align,
    fonts: Fonts,
) -> SetLine:
    free = box[2] - box[0] - (ink[2] - ink[0])
    x = box[0] - ink[0] + {"left": 0, "center": free // 2, "right": free}[align]
    placed = placed_runs(runs, paragraph.font_size_px, x, y, fonts)
    return SetLine(text, placed, paragraph.font_size_px, (ink[0] + x, ink[1] + y, ink[2] + x, ink[3] + y))


def _inside(ink: Corners, box: Corners) -> bool:
    return ink[0] >= box[0] and ink[1] >= box[1] and ink[2] <= box[2] and ink[3] <= box[3]
