"""Every place the copy could take: rectangles that hold it, at all positions, with what speaks for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from variant_assets.stages.copy_text import Parts, estimated_width_em
from variant_assets.stages.geometry import Bits, Floats, integral, window_sums
from variant_assets.stages.importance import Grid, Maps, smooth
from variant_assets.stages.line_breaking import Level
from variant_assets.stages.typesetting import Estimate, Limits, estimate, two_sizes_read_as_two
from variant_assets.stages.values import Rect, Size

Indices = NDArray[np.intp]

SAFE_MARGIN = 0.055
"""Of the shorter side: nothing is set nearer to the edge while there is room elsewhere."""
TIGHT_MARGIN = 0.02
"""The same where text would otherwise have to cover something."""

LEAST_WIDTH, LEAST_HEIGHT = 0.5, 0.12
NARROWEST, LOWEST = 0.26, 0.09
"""What is still taken where nothing of the least size is free."""

_SIZE_STEPS = 9
_WIDTH_STEPS = 9
_BLOCK = 6
_WIDE = 0.68
_ROOM = 1.05
"""Planned rectangles are this much higher than the estimate of the text."""

WEIGHTS = {
    "size": 0.28,
    "calm": 0.20,
    "empty": 0.20,
    "few_lines": 0.10,
    "uniform": 0.06,
    "clearance": 0.06,
    "aligned": 0.06,
    "balance": 0.04,
}
"""What speaks for a place, 0 to 1 in sum: large type on calm, unimportant, even ground clear of objects."""

HARM_WEIGHT = 2.0
COVER_WEIGHT = 3.0
"""Against each share of the region that lies on objects: more than all that can speak for a place."""
_NOTHING = 1e-9
"""Sums of whole cells are exact to far less than one cell."""


class Shape(NamedTuple):
    """A rectangle in cells and the text it holds: `lines` at about `font_size_px`."""

    columns: int
    rows: int
    font_size_px: int
    lines: int


class Ground(NamedTuple):
    """What the search looks at, per cell; `subject` is the (x, y) centre of what the picture shows, 0…1.

    `harm` sums to about 1 over each object and over the mask, so its sum over a region is what it covers.
    """

    grid: Grid
    forbidden: Bits
    harm: Floats
    maps: Maps
    subject: tuple[float, float]


class Candidates(NamedTuple):
    """Columns of equal length: `regions` (n, 4) as x, y, width, height in cells, one figure per reason."""

    shapes: tuple[Shape, ...]
    shape_index: Indices
    regions: Floats
    reasons: dict[str, Floats]
    forbidden: Floats
    score: Floats

    def rect(self, row: int, grid: Grid) -> Rect:
        x, y, width, height = self.regions[row]
        return Rect(x=x / grid.columns, y=y / grid.rows, width=width / grid.columns, height=height / grid.rows)


def shapes(
    parts: Parts,
    size: Size,
    grid: Grid,
    allowed: Limits,
    widths: tuple[float, float],
    lowest: float,
    safe_margin: float,
) -> tuple[Shape, ...]:
    """Rectangles that hold the copy: for each width and type size the height its lines need, at least `lowest`.

    `widths` are the narrowest and the widest; all in fractions of the picture.
    """
    narrowest, widest = widths
    cell_x, cell_y = size.width_px / grid.columns, size.height_px / grid.rows
    margin_x, margin_y = margins(size, grid, safe_margin)
    least, most = int(np.ceil(narrowest * grid.columns - 1e-9)), grid.columns - 2 * margin_x
    least_rows, most_rows = int(np.ceil(lowest * grid.rows - 1e-9)), grid.rows - 2 * margin_y
    found: dict[tuple[int, int], Shape] = {}
    for columns in _steps(least, min(most, int(widest * grid.columns)), _WIDTH_STEPS):
        for font_size_px in _steps(allowed.smallest_px, allowed.largest_px, _SIZE_STEPS):
            block = _block(parts, font_size_px, columns * cell_x, allowed)
            rows = least_rows if block is None else max(least_rows, int(np.ceil(block.height_px * _ROOM / cell_y)))
            if block is not None and rows <= most_rows:
                # Ascending sizes: of two that need the same rectangle the larger stays.
                found[columns, rows] = Shape(columns, rows, font_size_px, block.lines)
    return tuple(found.values())


def margins(size: Size, grid: Grid, safe_margin: float = SAFE_MARGIN) -> tuple[int, int]:
    """Cells kept free at the left and right, and at the top and bottom."""
    margin_px = safe_margin * min(size.width_px, size.height_px)
    across, down = margin_px * grid.columns / size.width_px, margin_px * grid.rows / size.height_px
    return min(int(np.ceil(across)), (grid.columns - 1) // 2), min(int(np.ceil(down)), (grid.rows - 1) // 2)


def _steps(low: int, high: int, count: int) -> list[int]:
    return sorted({round(float(value)) for value in np.linspace(low, high, count)}) if low <= high else []


def _block(parts: Parts, font_size_px: int, width_px: float, allowed: Limits) -> Estimate | None:
    """Lines and height, words whole where they can be; None when a number or price alone is too wide."""
    if parts.secondary and not two_sizes_read_as_two(font_size_px, allowed):
        parts = Parts(f"{parts.headline} {parts.secondary}", "")
    estimates = (estimate(parts, level, font_size_px, width_px, (_em, _em), allowed) for level in Level)
    return next((block for block in estimates if block is not None), None)


def _em(text: str) -> float:
    return sum(map(estimated_width_em, text))


def search(
    ground: Ground, offered: Sequence[Shape], size: Size, allowed: Limits, safe_margin: float, *, may_cover: bool
) -> Candidates:
    """All positions of the shapes inside the safe margins, thinned to the best of each neighbourhood.

    Unless the text `may_cover` objects, only positions clear of everything forbidden.
    """
    tables = Tables.of(ground)
    margin = margins(size, ground.grid, safe_margin)
    if not may_cover:
        offered = [shape for shape in offered if _has_room(shape, tables, margin)]
    parts = [_placements(shape, ground, tables, margin, allowed) for shape in offered]
    if not may_cover:
        parts = [_only_free(*part) for part in parts]
    counts = [len(part[0]) for part in parts]
    names = (*WEIGHTS, "forbidden", "harm")
    columns = {name: np.concatenate([part[1][name] for part in parts]) if parts else np.zeros(0) for name in names}
    forbidden, harm = columns.pop("forbidden"), columns.pop("harm")
    score = sum((weight * columns[name] for name, weight in WEIGHTS.items()), start=np.zeros(len(forbidden)))
    return Candidates(
        shapes=tuple(offered),
        shape_index=np.repeat(np.arange(len(parts)), counts),
        regions=np.concatenate([part[0] for part in parts]) if parts else np.zeros((0, 4)),
        reasons=columns,
        forbidden=forbidden,
        score=score - HARM_WEIGHT * harm - COVER_WEIGHT * forbidden,
    )


class Tables(NamedTuple):
    """Integral images of everything that is averaged over a rectangle."""

    forbidden: Floats
    harm: Floats
    near: Floats
    saliency: Floats
    edges: Floats
    luminance: Floats
    luminance_squared: Floats

    @classmethod
    def of(cls, ground: Ground) -> Tables:
        maps, near = ground.maps, smooth(ground.forbidden.astype(np.float64), 2)
        averaged = (ground.forbidden, ground.harm, near, maps.saliency, maps.edges, maps.luminance)
        return cls(*map(integral, (*averaged, maps.luminance**2)))


def _means(table: Floats, shape: Shape, margin: tuple[int, int]) -> Floats:
    """Means over the shape at every position inside the margins."""
    across, down = margin
    inner = table[down : table.shape[0] - down, across : table.shape[1] - across]
    return window_sums(inner, shape.rows, shape.columns) / (shape.rows * shape.columns)


def _has_room(shape: Shape, tables: Tables, margin: tuple[int, int]) -> bool:
    return bool((_means(tables.forbidden, shape, margin) < _NOTHING).any())


def _only_free(corners: Floats, figures: dict[str, Floats]) -> tuple[Floats, dict[str, Floats]]:
    free = figures["forbidden"] < _NOTHING
    return corners[free], {name: figure[free] for name, figure in figures.items()}


def _placements(
    shape: Shape, ground: Ground, tables: Tables, margin: tuple[int, int], allowed: Limits
) -> tuple[Floats, dict[str, Floats]]:
    def mean(table: Floats) -> Floats:
        return _means(table, shape, margin)

    deviation = np.sqrt(np.maximum(0.0, mean(tables.luminance_squared) - mean(tables.luminance) ** 2))
    forbidden = mean(tables.forbidden)
    ys, xs = (np.arange(n) + float(m) for n, m in zip(forbidden.shape, reversed(margin), strict=True))
    size = (shape.font_size_px - allowed.smallest_px) / max(1, allowed.largest_px - allowed.smallest_px)
    figures = {
        "size": np.full(forbidden.shape, size),
        "few_lines": np.full(forbidden.shape, 1.0 - min(1.0, max(0, shape.lines - 3) / 5)),
        "calm": 1.0 - mean(tables.edges),
        "empty": 1.0 - mean(tables.saliency),
        "uniform": 1.0 - np.minimum(1.0, deviation / 0.25),
        "clearance": 1.0 - mean(tables.near),
        "aligned": _aligned(shape, ground.grid, xs, ys, margin),
        "balance": _balance(shape, ground, xs, ys),
        "forbidden": forbidden,
        "harm": mean(tables.harm) * shape.columns * shape.rows,
    }
    score = sum((WEIGHTS[name] * figures[name] for name in WEIGHTS), start=np.zeros(forbidden.shape))
    rows, columns = _best_of_blocks(score - HARM_WEIGHT * figures["harm"] - 10.0 * forbidden)
    corners = np.stack(
        [xs[columns], ys[rows], np.full(len(rows), shape.columns), np.full(len(rows), shape.rows)], axis=1
    )
    return corners.astype(np.float64), {name: figure[rows, columns] for name, figure in figures.items()}


def _aligned(shape: Shape, grid: Grid, xs: Floats, ys: Floats, margin: tuple[int, int]) -> Floats:
    """1 where the rectangle stands on the picture's axis or a margin, and on a margin or third in height."""
    across = np.abs(xs + shape.columns / 2 - grid.columns / 2)
    # A wide region flush with one margin is neither centred nor a column; it only looks misplaced.
    if shape.columns < _WIDE * grid.columns:
        flush = np.minimum(np.abs(xs - margin[0]), np.abs(grid.columns - margin[0] - xs - shape.columns))
        across = np.minimum(across, flush)
    centre = ys + shape.rows / 2
    edges = np.minimum(np.abs(ys - margin[1]), np.abs(grid.rows - margin[1] - ys - shape.rows))
    thirds = np.minimum(np.abs(centre - grid.rows / 3), np.abs(centre - 2 * grid.rows / 3))
    across, down = across / grid.columns, np.minimum(edges, thirds + 0.02 * grid.rows) / grid.rows
    return 1.0 - np.minimum(1.0, (across[None, :] + down[:, None]) / 0.12)


def _balance(shape: Shape, ground: Ground, xs: Floats, ys: Floats) -> Floats:
    """1 where text and subject together weigh on the middle of the picture."""
    across = ((xs + shape.columns / 2) / ground.grid.columns + ground.subject[0]) / 2 - 0.5
    down = ((ys + shape.rows / 2) / ground.grid.rows + ground.subject[1]) / 2 - 0.5
    return np.maximum(0.0, 1.0 - 2.0 * np.hypot(across[None, :], down[:, None]))


def _best_of_blocks(score: Floats) -> tuple[Indices, Indices]:
    """(rows, columns) of the best position in every _BLOCK × _BLOCK positions; the first of equals."""
    down, across = (-(-length // _BLOCK) for length in score.shape)
    padded = np.full((down * _BLOCK, across * _BLOCK), -np.inf)
    padded[: score.shape[0], : score.shape[1]] = score
    blocks = padded.reshape(down, _BLOCK, across, _BLOCK).swapaxes(1, 2).reshape(down * across, _BLOCK * _BLOCK)
    best, block = blocks.argmax(axis=1), np.arange(down * across)
    return block // across * _BLOCK + best // _BLOCK, block % across * _BLOCK + best % _BLOCK
