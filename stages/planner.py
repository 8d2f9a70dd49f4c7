"""Where the copy goes: regions that are large enough, calm and clear of objects, ranked, each with its reasons."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stages.imaging.arrays import Bits, Indices, Mask, Picture
from stages.imaging.geometry import inner_corners, iou, size_of
from stages.placement.importance import Grid
from stages.placement.maps import PlacementMaps, placement_maps
from stages.placement.search import (
    COVERS,
    INSET,
    LEAST_HEIGHT,
    LEAST_WIDTH,
    LOWEST,
    NARROWEST,
    WEIGHTS,
    Candidates,
    SearchSpec,
    Shape,
    margins,
    search,
    shapes,
)
from stages.type.ad_copy import Parts, normalise_copy, split_copy
from stages.type.setting import TypeSizeRange, type_size_range
from stages.values import Analysis, Detections, Plan, Proposal, Rect, Size, StageError

MOST_PROPOSALS = 8
_ALIKE = 0.4
"""Regions that overlap by more than this IoU are one idea; only the better one is proposed."""

_TAIL = 2
"""So many places over objects are offered after the narrow free ones, for copy that is too long for those."""


class Tier(NamedTuple):
    """One round of the search: its name in the proposals, what it searches, and how many regions it may propose."""

    source: str
    spec: SearchSpec
    most: int


def plan(image: Picture, detections: Detections, forbidden_mask: Mask, analysis: Analysis, copy: str) -> Plan:
    """At most eight regions for the copy, best first. The same input gives the same plan.

    `image` is (height, width, 3) uint8 RGB, `forbidden_mask` (height, width) uint8, 255 = keep clear.
    Regions are at least 0.5 × 0.12 of the picture, inside safe margins and clear of objects. Only where no such place
    exists are others proposed, in this order: narrower columns; places that reach the picture's edge, with their text
    set in from it; the least harmful places over objects, which need a panel.
    Raises StageError when mask or detections belong to a picture of another size, or there is no copy.
    """
    size = size_of(image)
    _require_same_picture(size, detections, forbidden_mask)
    parts = split_copy(normalise_copy(copy))
    allowed = type_size_range(size, analysis.font.size_category)
    placement = placement_maps(image, detections, forbidden_mask)
    forbidden = _forbidden_pixels(detections, forbidden_mask)
    proposals = _proposals(placement, parts, size, allowed, forbidden)
    return Plan(proposals=proposals, chosen=0, needs_panel=proposals[0].occlusion > 0, size=size)


def _require_same_picture(size: Size, detections: Detections, mask: Mask) -> None:
    shown = f"the picture is {size.width_px} × {size.height_px} px"
    if mask.shape != (size.height_px, size.width_px):
        raise StageError(
            f"{shown}, its forbidden mask has shape {mask.shape} (height, width); run yolo_detect for this picture"
        )
    if detections.size != size:
        found = detections.size
        raise StageError(
            f"{shown}, its detections are for {found.width_px} × {found.height_px} px; run yolo_detect for this picture"
        )


def _forbidden_pixels(detections: Detections, mask: Mask) -> Bits:
    forbidden = mask > 0
    for found in detections.objects:
        left, top, right, bottom = inner_corners(found.box, detections.size)
        forbidden[top:bottom, left:right] = True
    return forbidden


def _proposals(
    placement: PlacementMaps, parts: Parts, size: Size, allowed: TypeSizeRange, forbidden: Bits
) -> tuple[Proposal, ...]:
    free = Tier("free region", SearchSpec(LEAST_WIDTH), MOST_PROPOSALS)
    narrow = Tier("narrow free region", SearchSpec(NARROWEST, LEAST_WIDTH), MOST_PROPOSALS - 2 * _TAIL - 1)
    at_the_edge = SearchSpec(NARROWEST, lowest=LOWEST, safe_margin=0.0, inset=INSET, steps=14)
    tight = Tier("free region at the edge", at_the_edge, _TAIL)
    harmful = Tier("least harmful region", at_the_edge._replace(may_cover=True), _TAIL)
    found = _from_tier(free, placement, parts, size, allowed, forbidden)
    if not found:
        found = _from_tier(narrow, placement, parts, size, allowed, forbidden)
        found += _from_tier(tight, placement, parts, size, allowed, forbidden)
        found += _from_tier(harmful, placement, parts, size, allowed, forbidden)
        found.append(_whole_picture(placement, size, forbidden))
    return tuple(found)


def _from_tier(
    tier: Tier, placement: PlacementMaps, parts: Parts, size: Size, allowed: TypeSizeRange, forbidden: Bits
) -> list[Proposal]:
    offered = shapes(parts, size, placement.grid, allowed, tier.spec)
    found = search(placement, offered, size, allowed, tier.spec)
    picked = _diverse(found, np.argsort(-found.score, kind="stable"), tier.most)
    return [_proposal(found, row, tier, placement.grid, size, forbidden) for row in picked]


def _diverse(found: Candidates, ranked: Indices, most: int) -> list[int]:
    """Rows of candidates, best first, no two of which are nearly the same region."""
    picked: list[int] = []
    corners = np.concatenate([found.regions[:, :2], found.regions[:, :2] + found.regions[:, 2:]], axis=1)
    while ranked.size and len(picked) < most:
        best = ranked[0]
        picked.append(int(best))
        ranked = ranked[iou(corners[ranked], corners[best]) <= _ALIKE]
    return picked


def _proposal(found: Candidates, row: int, tier: Tier, grid: Grid, size: Size, forbidden: Bits) -> Proposal:
    region = found.rect(row, grid)
    occlusion = _share(region, forbidden, size)
    weights = {**WEIGHTS, **{name: -weight for name, weight in COVERS.items()}}
    reasons = {name: round(weight * float(found.reasons[name][row]), 4) + 0.0 for name, weight in weights.items()}
    shape = found.shapes[int(found.shape_index[row])]
    return Proposal(
        region=region,
        score=round(float(found.score[row]), 4),
        occlusion=occlusion,
        source=tier.source,
        reasons=reasons,
        inset=tier.spec.inset,
        words=_words(region, tier, occlusion, shape, float(found.reasons["calm"][row])),
    )


def _share(region: Rect, forbidden: Bits, size: Size) -> float:
    left, top, right, bottom = inner_corners(region, size)
    window = forbidden[top:bottom, left:right]
    return float(np.count_nonzero(window)) / max(1, window.size)


def _words(region: Rect, tier: Tier, occlusion: float, shape: Shape, calm: float) -> str:
    quality = "calm" if calm > 0.8 else "fairly calm" if calm > 0.55 else "busy"
    text = f"{shape.lines} line{'s' if shape.lines > 1 else ''} at about {shape.font_size_px} px"
    what = f"{place(region)}: {occlusion:.0%} of it on objects, {quality}, holds {text}"
    if tier.spec.may_cover and occlusion > 0:
        return f"{what}; nothing large enough is free, so the text gets a panel"
    if tier.source != "free region":
        return f"{what}; nothing {LEAST_WIDTH} × {LEAST_HEIGHT} is free"
    return what


def place(region: Rect) -> str:
    """Where a region lies, in words: "bottom band", "upper left"."""
    x, y = region.x + region.width / 2, region.y + region.height / 2
    down = "top" if y < 0.22 else "upper" if y < 0.42 else "middle" if y < 0.58 else "lower" if y < 0.78 else "bottom"
    if region.width >= 0.7 or abs(x - 0.5) < 0.06:
        return f"{down} {'band' if region.width >= 0.7 else 'centre'}"
    return f"{down} {'left' if x < 0.5 else 'right'}"


def _whole_picture(placement: PlacementMaps, size: Size, forbidden: Bits) -> Proposal:
    """The last resort: everything inside the safe margins, for copy that fits nowhere else."""
    across, down = margins(size, placement.grid)
    columns, rows = placement.grid
    region = Rect(
        x=across / columns,
        y=down / rows,
        width=(columns - 2 * across) / columns,
        height=(rows - 2 * down) / rows,
    )
    occlusion = _share(region, forbidden, size)
    return Proposal(
        region=region,
        score=-10.0,
        occlusion=occlusion,
        source="whole picture",
        words=f"the whole picture: {occlusion:.0%} of it on objects; only for copy that fits nowhere else",
    )
