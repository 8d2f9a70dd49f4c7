"""Draws the copy in the planned region: all of it, inside the region, and with enough contrast to be read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.imaging.arrays import Mask, Picture
from stages.imaging.blending import with_panel
from stages.imaging.colour import TextColours, choose_colours
from stages.imaging.contrast import RING_PX, is_large_text, needed
from stages.imaging.geometry import Corners, grown, inner_corners, size_of
from stages.imaging.morphology import ring
from stages.type.ad_copy import normalise_copy, split_copy
from stages.type.fonts import Fonts
from stages.type.glyphs import runs_mask, with_glyphs
from stages.type.setting import Align, Block, Faces, SetLine, set_in, type_size_range
from stages.values import (
    Analysis,
    Layout,
    Panel,
    Plan,
    Proposal,
    Rect,
    Size,
    StageError,
    TextLine,
)
from stages.wording import harmful_count

PLATE_OPACITY = 0.78
"""Least opacity of a plate over an object: a weaker one looks like dirt on the picture, not like a plate."""

_MARGIN = 1.1
"""Colours are chosen for so many times the required ratio, so that rounding never takes the ad below it."""


def render(image: Picture, plan: Plan, copy: str, fonts: Fonts, analysis: Analysis) -> tuple[Layout, Picture]:
    """The layout and the finished ad. Regions are tried in rank order, the chosen one first, until the text fits.

    `image` is (height, width, 3) uint8 RGB. Raises StageError when there is no copy, when a character has no
    glyph, when the plan is for a picture of another size, and when the text fits in no region at a readable
    size.
    """
    size = size_of(image)
    if plan.size != size:
        raise StageError(
            f"the plan is for {plan.size.width_px} × {plan.size.height_px} px, the picture has "
            f"{size.width_px} × {size.height_px} px; run the planner for this picture"
        )
    text = normalise_copy(copy)
    number, block = _first_fit(text, plan, fonts, analysis)
    masks = [runs_mask(line.runs, line.font_size_px, size, fonts) for line in block.lines]
    colours, panel = _colours_and_panel(image, masks, block, plan.proposals[number], analysis)
    ground = with_panel(image, panel) if panel else image
    ad = with_glyphs(ground, np.maximum.reduce(masks), colours.fill)
    return _layout(text, plan, number, block, colours, panel, _warnings(plan, number, copy)), ad


def _first_fit(text: str, plan: Plan, fonts: Fonts, analysis: Analysis) -> tuple[int, Block]:
    allowed = type_size_range(plan.size, analysis.font.size_category)
    faces = Faces(fonts.choose(analysis.font.style), fonts.choose(analysis.font.style, bold=False))
    order = sorted(range(len(plan.proposals)), key=lambda number: (number != plan.chosen, number))
    for number in order:
        align = alignment(plan.proposals[number].region)
        box = _text_box(plan.proposals[number], align, plan.size)
        block = set_in(split_copy(text), box, align, faces, allowed, fonts)
        if block is not None:
            return number, block
    largest = max((plan.proposals[number].region for number in order), key=lambda region: region.area)
    raise StageError(
        f"the copy of {len(text)} characters fits in none of {len(order)} planned regions at "
        f"{allowed.smallest_px} px or more (the largest is {largest.width:.2f} × {largest.height:.2f} of the "
        "picture); shorten the copy, or use a picture with more free space"
    )


def alignment(region: Rect) -> Align:
    """Centred for a region in the middle of the picture, else flush with the side that the region is nearer to."""
    centre = region.x + region.width / 2
    if abs(centre - 0.5) < 0.06:
        return "center"
    return "left" if centre < 0.5 else "right"


def _text_box(proposal: Proposal, align: Align, size: Size) -> Corners:
    """The rectangle for the lines: the region less its inset."""
    region = _on_axis(proposal.region) if align == "center" else proposal.region
    left, top, right, bottom = inner_corners(region, size)
    inset_px = round(proposal.inset * min(size.width_px, size.height_px))
    return left + inset_px, top + inset_px, right - inset_px, bottom - inset_px


def _on_axis(region: Rect) -> Rect:
    """The part of a nearly centred region that is symmetric about the picture's vertical axis."""
    margin = max(region.x, 1.0 - region.right)
    return Rect(x=margin, y=region.y, width=1.0 - 2 * margin, height=region.height)


def _colours_and_panel(
    image: Picture, masks: Sequence[Mask], block: Block, proposal: Proposal, analysis: Analysis
) -> tuple[TextColours, Panel | None]:
    """Text colour and, where needed, a panel with which every line reaches the contrast on the ring around it."""
    size = size_of(image)
    large = all(is_large_text(line.font_size_px, _bold(line), size) for line in block.lines)
    covers = proposal.occlusion > 0
    beside = [_beside(image, mask, line) for mask, line in zip(masks, block.lines, strict=True)]
    colours = choose_colours(beside, analysis.font.color, needed(large).aa * _MARGIN, PLATE_OPACITY if covers else 0.0)
    if colours.opacity == 0.0:
        return colours, None
    return colours, _plate(block, proposal.region, size, colours) if covers else _scrim(block, size, colours)


def _beside(image: Picture, mask: Mask, line: SetLine) -> Picture:
    """The pixels next to the line's glyphs, shape (n, 3)."""
    left, top, right, bottom = grown(line.ink, RING_PX, size_of(image))
    return image[top:bottom, left:right][ring(mask[top:bottom, left:right] > 0, RING_PX)]


def _plate(block: Block, region: Rect, size: Size, colours: TextColours) -> Panel:
    """A plate around the text and the ring that is measured, inside the region where that is large enough.

    Where the region touches an edge of the picture, the plate reaches that edge too.
    """
    em = block.headline.font_size_px
    box, needed_px = inner_corners(region, size), grown(block.ink, RING_PX + 1, size)
    left, top, right, bottom = grown(block.ink, round(0.45 * em), size)
    left = 0 if box[0] == 0 else min(needed_px[0], max(left, box[0]))
    top = 0 if box[1] == 0 else min(needed_px[1], max(top, box[1]))
    right = size.width_px if box[2] == size.width_px else max(needed_px[2], min(right, box[2]))
    bottom = size.height_px if box[3] == size.height_px else max(needed_px[3], min(bottom, box[3]))
    bleeds = left == 0 or top == 0 or right == size.width_px or bottom == size.height_px
    rect = Rect.from_corners_px(left, top, right, bottom, size)
    return Panel(rect=rect, color=colours.scrim, opacity=colours.opacity, radius_px=0.0 if bleeds else round(0.3 * em))


def _scrim(block: Block, size: Size, colours: TextColours) -> Panel:
    """A soft shade: over the whole width and up to the edge for wide text near top or bottom, else around the text."""
    em = block.headline.font_size_px
    left, top, right, bottom = grown(block.ink, round(0.35 * em), size)
    if right - left > 0.4 * size.width_px and bottom < 0.42 * size.height_px:
        left, top, right = 0, 0, size.width_px
    elif right - left > 0.4 * size.width_px and top > 0.58 * size.height_px:
        left, right, bottom = 0, size.width_px, size.height_px
    return Panel(
        rect=Rect.from_corners_px(left, top, right, bottom, size),
        color=colours.scrim,
        opacity=colours.opacity,
        radius_px=0.0 if right - left == size.width_px else round(0.6 * em),
        feather_px=round(1.4 * em),
    )


def _layout(
    text: str,
    plan: Plan,
    number: int,
    block: Block,
    colours: TextColours,
    panel: Panel | None,
    warnings: tuple[str, ...],
) -> Layout:
    proposal, size = plan.proposals[number], plan.size
    ink = Rect.from_corners_px(*block.ink, size)
    return Layout(
        text=text,
        lines=tuple(_text_line(line, size) for line in block.lines),
        region=proposal.region,
        ink=ink,
        face=block.headline.face,
        font_size_px=block.headline.font_size_px,
        line_height_px=block.headline.leading_px,
        fill=colours.fill,
        panel=panel,
        contrast_p1=colours.contrast_p1,
        proposal=number,
        size=size,
        warnings=warnings,
    )


def _text_line(line: SetLine, size: Size) -> TextLine:
    ink = Rect.from_corners_px(*line.ink, size)
    return TextLine(text=line.text, runs=line.runs, ink=ink, font_size_px=line.font_size_px)


def _warnings(plan: Plan, number: int, copy: str) -> tuple[str, ...]:
    proposal, found = plan.proposals[number], []
    if proposal.occlusion > 0:
        found.append(f"the text region covers {proposal.occlusion:.0%} of forbidden area; it got a plate")
    if number != plan.chosen:
        found.append(f"the copy did not fit in region {plan.chosen}; region {number} was taken: {proposal.words}")
    if left_out := harmful_count(copy):
        found.append(f"{left_out} control characters or marks of direction were left out of the copy")
    return tuple(found)


def _bold(line: SetLine) -> bool:
    return all(run.face.bold for run in line.runs)
