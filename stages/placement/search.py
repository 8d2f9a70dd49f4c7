"""Candidates for the copy's place: every rectangle that holds it, at every position, with its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from stages.imaging.arrays import Floats, Indices
from stages.imaging.filters import box_mean
from stages.imaging.integral import integral, window_sums
from stages.placement.importance import Grid
from stages.placement.maps import PlacementMaps
from stages.type.ad_copy import Parts, estimated_width_em
from stages.type.line_breaking import Level
from stages.type.setting import Estimate, TypeSizeRange, estimate, two_sizes_read_as_two
from stages.values import Rect, Size

SAFE_MARGIN = 0.055
"""Of the shorter side. Regions keep this distance from the edge while there is room elsewhere."""
INSET = 0.025
"""Of the shorter side. In a region at the picture's edge or on an object, the text keeps this far inside."""

LEAST_WIDTH, LEAST_HEIGHT = 0.5, 0.12
NARROWEST, LOWEST = 0.26, 0.09
"""The least width and height where no region of the usual least size is free."""

_GOOD_SIZE = 1.2
"""Of the smallest type size. Over objects, smaller type than this is only for copy that fits in no larger one."""

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
"""Advantages of a place, 1 in sum: large type on calm, unimportant, even ground clear of objects."""

COVERS = {"on_objects": 5.0, "of_objects": 2.5}
"""Disadvantages: the share of the place that lies on objects, and the share of the objects that it covers.

They outweigh all advantages, which decide only between places that cover equally much."""

_NOTHING = 1e-9
"""Sums over cells that should be 0 differ from it by less than this, from rounding."""


class SearchSpec(NamedTuple):
    """Which regions a search offers.

    Widths and heights are fractions of the picture's. `safe_margin`, from the region to the picture's edges, and
    `inset`, from the text to the region's edges, are fractions of the picture's shorter side. `steps` is the number of
    widths, and of type sizes, that are tried.
    """

    narrowest: float
    widest: float = 1.0
    lowest: float = LEAST_HEIGHT
    safe_margin: float = SAFE_MARGIN
    inset: float = 0.0
    may_cover: bool = False
    steps: int = 9


class Shape(NamedTuple):
    """A rectangle in cells and the text it holds: `lines` at about `font_size_px`."""

    columns: int
    rows: int
    font_size_px: int
    lines: int


class Candidates(NamedTuple):
    """n candidates: `regions` (n, 4) as x, y, width, height in cells, and for each reason n figures."""

    shapes: tuple[Shape, ...]
    shape_index: Indices
    regions: Floats
    reasons: dict[str, Floats]
    score: Floats

    def rect(self, row: int, grid: Grid) -> Rect:
        x, y, width, height = self.regions[row]
        return Rect(x=x / grid.columns, y=y / grid.rows, width=width / grid.columns, height=height / grid.rows)


def shapes(parts: Parts, size: Size, grid: Grid, allowed: TypeSizeRange, spec: SearchSpec) -> tuple[Shape, ...]:
    """Rectangles that hold the copy: for each width and type size, the height that its lines need."""
    cell_x, cell_y = size.width_px / grid.columns, size.height_px / grid.rows
    around_px = 2 * spec.inset * min(size.width_px, size.height_px)
    margin_x, margin_y = margins(size, grid, spec.safe_margin)
    least, most = int(np.ceil(spec.narrowest * grid.columns - 1e-9)), grid.columns - 2 * margin_x
    least_rows, most_rows = int(np.ceil(spec.lowest * grid.rows - 1e-9)), grid.rows - 2 * margin_y
    found: dict[tuple[int, int], Shape] = {}
    for columns in _steps(least, min(most, int(spec.widest * grid.columns)), spec.steps):
        for font_size_px in _steps(allowed.smallest_px, allowed.largest_px, spec.steps):
            for block in _blocks(parts, font_size_px, columns * cell_x - around_px, allowed, spec.may_cover):
                rows = max(least_rows, int(np.ceil((block.height_px * _ROOM + around_px) / cell_y)))
                if rows <= most_rows:
                    # Sizes ascend, so of two that need the same rectangle the larger one stays.
                    found[columns, rows] = Shape(columns, rows, font_size_px, block.lines)
    readable = [shape for shape in found.values() if shape.font_size_px >= _GOOD_SIZE * allowed.smallest_px]
    return tuple(readable if spec.may_cover and readable else found.values())


def margins(size: Size, grid: Grid, safe_margin: float = SAFE_MARGIN) -> tuple[int, int]:
    """Cells kept free at the left and right, and at the top and bottom."""
    margin_px = safe_margin * min(size.width_px, size.height_px)
    across, down = margin_px * grid.columns / size.width_px, margin_px * grid.rows / size.height_px
    return min(int(np.ceil(across)), (grid.columns - 1) // 2), min(int(np.ceil(down)), (grid.rows - 1) // 2)


def _steps(low: int, high: int, count: int) -> list[int]:
    return sorted({round(float(value)) for value in np.linspace(low, high, count)}) if low <= high else []


def _blocks(
    parts: Parts, font_size_px: int, width_px: float, allowed: TypeSizeRange, also_as_one: bool
) -> Iterator[Estimate]:
    """The copy in two sizes where they differ enough, else, or also, in one. A setting that is too wide is left out."""
    two_sizes = bool(parts.secondary) and two_sizes_read_as_two(font_size_px, allowed)
    # A single line in one size needs the least height.
    settings = [parts, parts.as_one] if two_sizes and also_as_one else [parts] if two_sizes else [parts.as_one]
    for setting in settings:
        block = _block(setting, font_size_px, width_px, allowed)
        if block is not None:
            yield block


def _block(parts: Parts, font_size_px: int, width_px: float, allowed: TypeSizeRange) -> Estimate | None:
    """Lines and height, with words kept whole where possible; None when a number or price alone is too wide."""
    estimates = (estimate(parts, level, font_size_px, width_px, (_em, _em), allowed) for level in Level)
    return next((block for block in estimates if block is not None), None)


def _em(text: str) -> float:
    return sum(map(estimated_width_em, text))


def search(
    placement: PlacementMaps, offered: Sequence[Shape], size: Size, allowed: TypeSizeRange, spec: SearchSpec
) -> Candidates:
    """All positions of the shapes inside the safe margins, of which only the best of each neighbourhood stay.

    Where the text may not cover objects, positions on forbidden cells are left out.
    """
    tables = Tables.of(placement)
    margin = margins(size, placement.grid, spec.safe_margin)
    if not spec.may_cover:
        offered = [shape for shape in offered if _has_room(shape, tables, margin)]
    parts = [_placements(shape, placement, tables, margin, allowed, spec.may_cover) for shape in offered]
    columns = {
        name: np.concatenate([part[1][name] for part in parts]) if parts else np.zeros(0)
        for name in (*WEIGHTS, *COVERS)
    }
    return Candidates(
        shapes=tuple(offered),
        shape_index=np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts]),
        regions=np.concatenate([part[0] for part in parts]) if parts else np.zeros((0, 4)),
        reasons=columns,
        score=_score(columns),
    )


def _score(figures: dict[str, Floats]) -> Floats:
    gains = sum(weight * figures[name] for name, weight in WEIGHTS.items())
    return np.asarray(gains - sum(weight * figures[name] for name, weight in COVERS.items()))


class Tables(NamedTuple):
    """Integral images of everything that is averaged over a rectangle."""

    forbidden: Floats
    importance: Floats
    harm: Floats
    near: Floats
    saliency: Floats
    edges: Floats
    luminance: Floats
    luminance_squared: Floats

    @classmethod
    def of(cls, placement: PlacementMaps) -> Tables:
        maps, near = placement.maps, box_mean(placement.forbidden.astype(np.float64), 2)
        averaged = (
            placement.forbidden,
            placement.importance,
            placement.harm,
            near,
            maps.saliency,
            maps.edges,
            maps.luminance,
        )
        return cls(*map(integral, (*averaged, maps.luminance**2)))


def _means(table: Floats, shape: Shape, margin: tuple[int, int]) -> Floats:
    """Means over the shape at every position inside the margins."""
    across, down = margin
    inner = table[down : table.shape[0] - down, across : table.shape[1] - across]
    return window_sums(inner, shape.rows, shape.columns) / (shape.rows * shape.columns)


def _has_room(shape: Shape, tables: Tables, margin: tuple[int, int]) -> bool:
    return bool((_means(tables.forbidden, shape, margin) < _NOTHING).any())


def _placements(
    shape: Shape,
    placement: PlacementMaps,
    tables: Tables,
    margin: tuple[int, int],
    allowed: TypeSizeRange,
    may_cover: bool,
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
        "aligned": _aligned(shape, placement.grid, xs, ys, margin),
        "balance": _balance(shape, placement, xs, ys),
        "on_objects": mean(tables.importance),
        "of_objects": mean(tables.harm) * shape.columns * shape.rows,
    }
    open_to_text = may_cover | (forbidden < _NOTHING)
    rows, columns = _best_of_blocks(np.where(open_to_text, _score(figures), -np.inf))
    some = open_to_text[rows, columns]
    rows, columns = rows[some], columns[some]
    corners = np.stack(
        [xs[columns], ys[rows], np.full(len(rows), shape.columns), np.full(len(rows), shape.rows)], axis=1
    )
    return corners.astype(np.float64), {name: figure[rows, columns] for name, figure in figures.items()}


def _aligned(shape: Shape, grid: Grid, xs: Floats, ys: Floats, margin: tuple[int, int]) -> Floats:
    """1 where the rectangle is centred or at a side margin, and its height is at a margin or a third of the picture."""
    across = np.abs(xs + shape.columns / 2 - grid.columns / 2)
    # A wide region at one margin is neither centred nor a column: it looks misplaced.
    if shape.columns < _WIDE * grid.columns:
        flush = np.minimum(np.abs(xs - margin[0]), np.abs(grid.columns - margin[0] - xs - shape.columns))
        across = np.minimum(across, flush)
    centre = ys + shape.rows / 2
    edges = np.minimum(np.abs(ys - margin[1]), np.abs(grid.rows - margin[1] - ys - shape.rows))
    thirds = np.minimum(np.abs(centre - grid.rows / 3), np.abs(centre - 2 * grid.rows / 3))
    across, down = across / grid.columns, np.minimum(edges, thirds + 0.02 * grid.rows) / grid.rows
    return 1.0 - np.minimum(1.0, (across[None, :] + down[:, None]) / 0.12)


def _balance(shape: Shape, placement: PlacementMaps, xs: Floats, ys: Floats) -> Floats:
    """1 where the middle between text and subject is the middle of the picture."""
    across = ((xs + shape.columns / 2) / placement.grid.columns + placement.subject[0]) / 2 - 0.5
    down = ((ys + shape.rows / 2) / placement.grid.rows + placement.subject[1]) / 2 - 0.5
    return np.maximum(0.0, 1.0 - 2.0 * np.hypot(across[None, :], down[:, None]))


def _best_of_blocks(score: Floats) -> tuple[Indices, Indices]:
    """(rows, columns) of the best position in each block of _BLOCK × _BLOCK; the first of equal ones."""
    down, across = (-(-length // _BLOCK) for length in score.shape)
    padded = np.full((down * _BLOCK, across * _BLOCK), -np.inf)
    padded[: score.shape[0], : score.shape[1]] = score
    blocks = padded.reshape(down, _BLOCK, across, _BLOCK).swapaxes(1, 2).reshape(down * across, _BLOCK * _BLOCK)
    best, block = blocks.argmax(axis=1), np.arange(down * across)
    return block // across * _BLOCK + best // _BLOCK, block % across * _BLOCK + best % _BLOCK
