"""Where a line may end, and the lines of least raggedness.

Korean breaks at word gaps first, then between syllables; never inside numbers with units, prices, dates
and phone numbers; never before closing or after opening punctuation (W3C, "Requirements for Hangul Text
Layout", line breaks).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from stages.type.text_metrics import AMOUNT, DATE, PERCENT, PHONE, PRICE

FORBIDDEN_START = frozenset("!?.,:;)]}>%~…·’”」』】〉》〕、。！？，．：；）］｝％～ー-–—/")
FORBIDDEN_END = frozenset("([{<“‘「『【〈《〔₩$€£¥￦#@（［｛")
_UNIT = (
    r"(?:\s?(?:kg|mg|g|ml|mL|L|l|cm|mm|km|m|kcal|인분|개월|시간|[개명분잔병판팩봉장세월일년시원호층차]|[℃㎡㎏])(?![A-Za-z가-힣])"
    r"|[A-Za-z가-힣]{1,2})?"
)
_UNBREAKABLE = re.compile("|".join((PHONE, DATE, PERCENT, PRICE, rf"{AMOUNT}(?:[+~×x:]{AMOUNT})*{_UNIT}")))


class Level(IntEnum):
    """Where lines may break. Each level allows its own breaks and those of the levels before it."""

    WORD = 0
    SYLLABLE = 1
    LETTER = 2


class Piece(NamedTuple):
    """A stretch of text without a break; `gap` is the space drawn before it unless it starts a line."""

    text: str
    gap: str
    level: Level


Widths = Callable[[str], float]


@lru_cache(maxsize=256)
def pieces(text: str, deepest: Level) -> tuple[Piece, ...]:
    """`text` (with single spaces) cut wherever a line may end at this level or one before it."""
    cuts = [0, *_cuts(text, deepest), len(text)]
    stretches = [text[a:b] for a, b in pairwise(cuts)]
    levels = [Level.WORD, *(_level(text, cut) for cut in cuts[1:-1])]
    return tuple(
        Piece(stretch.strip(" "), " " if i and text[cut - 1] == " " else "", level)
        for i, (stretch, cut, level) in enumerate(zip(stretches, cuts, levels, strict=False))
    )


def _cuts(text: str, deepest: Level) -> list[int]:
    bound = {i for match in _UNBREAKABLE.finditer(text) for i in range(match.start() + 1, match.end())}
    return [i for i in range(1, len(text)) if i not in bound and _allowed(text, i) and _level(text, i) <= deepest]


def _allowed(text: str, i: int) -> bool:
    if text[i] == " ":
        return False
    before = text[i - 1] if text[i - 1] != " " else text[i - 2]
    return text[i] not in FORBIDDEN_START and before not in FORBIDDEN_END and not unicodedata.combining(text[i])


def _level(text: str, i: int) -> Level:
    if text[i - 1] == " ":
        return Level.WORD
    if _wide(text[i - 1]) or _wide(text[i]):
        return Level.SYLLABLE
    return Level.LETTER


def _wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


class Measured(NamedTuple):
    """Pieces with widths: `advances[i]` of piece i, `gaps[i]` of the space before it."""

    pieces: tuple[Piece, ...]
    advances: tuple[float, ...]
    gaps: tuple[float, ...]

    @property
    def widest(self) -> float:
        return max(self.advances)


def measured(text: str, deepest: Level, width: Widths) -> Measured:
    """The pieces of `text` with their widths in the unit of `width` (em or px)."""
    cut = pieces(text, deepest)
    return Measured(cut, tuple(width(p.text) for p in cut), tuple(width(p.gap) if p.gap else 0.0 for p in cut))


def fewest_lines(text: Measured, available: float) -> int | None:
    """The least number of lines no wider than `available`; None when one piece alone is wider."""
    if text.widest > available:
        return None
    lines, used = 1, 0.0
    for i, advance in enumerate(text.advances):
        with_it = used + (text.gaps[i] if used else 0.0) + advance
        if used and with_it > available:
            lines, used = lines + 1, advance
        else:
            used = with_it
    return lines


def balanced(text: Measured, count: int, available: float) -> tuple[str, ...] | None:
    """Exactly `count` lines of least raggedness, Σ (mean − width)², none wider than `available`.

    Breaks after punctuation are preferred, breaks inside words avoided. None when no such lines exist.
    """
    total = sum(text.advances) + sum(text.gaps)
    mean = total / count
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for line in range(count):
        reached: dict[int, tuple[float, int]] = {}
        for start, (cost, _) in sorted(best[line].items()):
            for end, width in _ends(text, start, available):
                if end < len(text.pieces) or line == count - 1:
                    whole = cost + (width - mean) ** 2 + _break_cost(text, end) * mean**2
                    if end not in reached or whole < reached[end][0]:
                        reached[end] = (whole, start)
        best.append(reached)
    return _backtrace(text, best) if len(text.pieces) in best[count] else None


def _ends(text: Measured, start: int, available: float) -> Sequence[tuple[int, float]]:
    """Every piece index at which a line begun at `start` may end, with the width of the line."""
    found, width = [], 0.0
    for end in range(start, len(text.pieces)):
        width += text.advances[end] + (text.gaps[end] if end > start else 0.0)
        if width > available and end > start:
            break
        found.append((end + 1, width))
    return found


def _break_cost(text: Measured, end: int) -> float:
    """In squares of the mean width: positive for a break inside a word, negative for one after punctuation."""
    if end == len(text.pieces):
        return 0.0
    if text.pieces[end].level is not Level.WORD:
        return 0.15 * text.pieces[end].level
    last = text.pieces[end - 1].text
    # A lone syllable (한 잔, 단 하루, 갓 구운) belongs to the word after it.
    if len(last) == 1 and _wide(last):
        return 0.12
    return -0.04 if last[-1] in ",.!?…:;·" else 0.0


def _backtrace(text: Measured, best: Sequence[dict[int, tuple[float, int]]]) -> tuple[str, ...]:
    lines: list[str] = []
    end = len(text.pieces)
    for reached in reversed(best[1:]):
        start = reached[end][1]
        lines.append(_joined(text.pieces[start:end]))
        end = start
    return tuple(reversed(lines))


def _joined(line: Sequence[Piece]) -> str:
    return line[0].text + "".join(piece.gap + piece.text for piece in line[1:])
