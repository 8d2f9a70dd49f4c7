"""Which of Tesseract's signs stands in which cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from resources.ocr.cells import Cell

# Whole numbers, so that sums can be compared when the way back is looked for.
ALONE = 7
OTHER_SYLLABLE = 6
OTHER_KIND = 9


class Written(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def is_hangul(self) -> bool: ...


S = TypeVar("S", bound=Written)


def align(signs: Sequence[S], cells: Sequence[Cell]) -> list[tuple[S | None, Cell | None]]:
    """Pairs in reading order at the least total cost (edit distance); None where one has no partner."""
    costs = [[(i + j) * ALONE for j in range(len(cells) + 1)] for i in range(len(signs) + 1)]
    for i, sign in enumerate(signs, 1):
        for j, cell in enumerate(cells, 1):
            together = costs[i - 1][j - 1] + _cost(sign, cell)
            costs[i][j] = min(together, costs[i - 1][j] + ALONE, costs[i][j - 1] + ALONE)
    pairs: list[tuple[S | None, Cell | None]] = []
    i, j = len(signs), len(cells)
    while i or j:
        if i and j and costs[i][j] == costs[i - 1][j - 1] + _cost(signs[i - 1], cells[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((signs[i], cells[j]))
        elif i and costs[i][j] == costs[i - 1][j] + ALONE:
            i -= 1
            pairs.append((signs[i], None))
        else:
            j -= 1
            pairs.append((None, cells[j]))
    return pairs[::-1]


def _cost(sign: Written, cell: Cell) -> int:
    if sign.is_hangul != bool(cell.syllable):
        return OTHER_KIND
    return 0 if sign.text == cell.syllable or not cell.syllable else OTHER_SYLLABLE
