"""A line cut into cells: one per syllable, and one per stretch of ink that is no syllable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from resources.ocr.ink import INK_BELOW, Map
from resources.ocr.syllables import Match, best_matches

PITCH = 0.95  # of the line's height: how wide a syllable is
LOWEST_PX = 6  # what is lower is a rule or the edge of a line cut off, not a row of tiny syllables
NARROWEST, WIDEST = 0.35, 1.12  # of the pitch
FAMILIAR = 0.95  # what syllables in their own font reach from 32 px on; smaller ones see all fonts
SIGN_LIKENESS = 0.62  # what is less like any syllable is a sign


class Cell(NamedTuple):
    """Columns of the ink map, `right` not included, and the syllable there; '' for another sign."""

    left: int
    right: int
    syllable: str
    likeness: float


class Cells(NamedTuple):
    """The cells, left to right, and the fonts they were compared with."""

    cells: list[Cell]
    fonts: Sequence[Path]


def read_cells(ink: Map, height_px: int, fonts: Sequence[Path]) -> Cells:
    """The cut that makes the most ink the most like syllables; fonts are tried until one looks familiar."""
    pitch = PITCH * max(height_px, LOWEST_PX)
    runs = _runs(ink, pitch)
    spans = [(i, j) for i in range(len(runs)) for j in range(i, len(runs)) if _fits(runs, i, j, pitch)]
    glyphs = [ink[:, runs[i][0] : runs[j][1]] for i, j in spans]
    matches: dict[tuple[int, int], Match] = {}
    read = Cells(_best_cut(runs, matches), ())
    for number, font in enumerate(fonts, 1):
        for span, match in zip(spans, best_matches(glyphs, font), strict=True):
            matches[span] = max(match, matches.get(span, match), key=lambda m: m.likeness)
        read = Cells(_best_cut(runs, matches), fonts[:number])
        if _mean_likeness(read.cells) >= FAMILIAR:
            break
    return read


def _mean_likeness(cells: Sequence[Cell]) -> float:
    values = [cell.likeness for cell in cells if cell.syllable]
    return sum(values) / len(values) if values else 0.0


def _runs(ink: Map, pitch: float) -> list[tuple[int, int]]:
    """The stretches of columns that hold ink, those wider than a syllable cut where there is least of it."""
    columns = np.flatnonzero((ink < INK_BELOW).any(axis=0))
    if not columns.size:
        return []
    breaks = np.flatnonzero(np.diff(columns) > 1)
    starts, ends = [columns[0], *columns[breaks + 1]], [*columns[breaks], columns[-1]]
    amount = (1 - ink).sum(axis=0)
    return [
        part for start, end in zip(starts, ends, strict=True) for part in _cut(int(start), int(end) + 1, amount, pitch)
    ]


def _cut(left: int, right: int, amount: np.ndarray, pitch: float) -> list[tuple[int, int]]:
    count = round((right - left) / pitch) if right - left > WIDEST * pitch else 1
    cuts = [left]
    for number in range(1, count):
        middle = left + (right - left) * number / count
        near = np.arange(max(cuts[-1] + 1, int(middle - pitch / 5)), min(right, int(middle + pitch / 5) + 1))
        cuts.append(int(near[np.argmin(amount[near] + 1e-3 * np.abs(near - middle))]))
    return list(zip(cuts, [*cuts[1:], right], strict=True))


def _fits(runs: Sequence[tuple[int, int]], first: int, last: int, pitch: float) -> bool:
    return NARROWEST * pitch <= runs[last][1] - runs[first][0] <= WIDEST * pitch


def _best_cut(runs: Sequence[tuple[int, int]], matches: dict[tuple[int, int], Match]) -> list[Cell]:
    """Dynamic programming over the runs; a cell counts by its width times its likeness."""
    best: list[tuple[float, list[Cell]]] = [(0.0, [])]
    for end in range(len(runs)):
        left, right = runs[end]
        score, cells = best[end]
        options = [(score + (right - left) * SIGN_LIKENESS, [*cells, Cell(left, right, "", SIGN_LIKENESS)])]
        for start in range(end + 1):
            if match := matches.get((start, end)):
                score, cells = best[start]
                left = runs[start][0]
                ink_width = sum(b - a for a, b in runs[start : end + 1])
                options.append((score + ink_width * match.likeness, [*cells, Cell(left, right, *match)]))
        best.append(max(options, key=lambda option: option[0]))
    return best[-1][1]
