"""Defects put into good ads: what a client would send back. Each is a change of the picture, or of what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from stages.imaging.arrays import Picture
from stages.imaging.geometry import Corners, outer_corners
from stages.type.fonts import Fonts
from stages.type.glyphs import advances
from stages.values import GlyphRun, Layout, Panel, Rect, Rgb, TextLine
from testing.scenes.scene import Scene


class DrawnAd(NamedTuple):
    """An ad: its scene, the layout that the overlay stage recorded, and the picture."""

    scene: Scene
    layout: Layout
    image: Picture
    fonts: Fonts


Change = Callable[[DrawnAd], Layout | Picture | None]
"""A layout is drawn anew, so record and picture agree; a picture leaves the record as it was. None: not for this ad."""

DEFECTS: dict[str, Change] = {}


def defect(name: str) -> Callable[[Change], Change]:
    def add(change: Change) -> Change:
        DEFECTS[name] = change
        return change

    return add


def moved(layout: Layout, right_px: float, down_px: float) -> Layout:
    """All lines, as far as told; ink that leaves the picture is cut off, as a careless renderer does."""
    size = layout.size

    def rect(old: Rect) -> Rect:
        left, top, right, bottom = old.corners_px(size)
        return Rect.from_corners_px(left + right_px, top + down_px, right + right_px, bottom + down_px, size)

    def line(old: TextLine) -> TextLine:
        runs = tuple(
            run.model_copy(update={"origin_x_px": run.origin_x_px + right_px, "origin_y_px": run.origin_y_px + down_px})
            for run in old.runs
        )
        return old.model_copy(update={"runs": runs, "ink": rect(old.ink)})

    lines = tuple(map(line, layout.lines))
    return layout.model_copy(update={"lines": lines, "ink": rect(layout.ink), "panel": None})


def respelled(layout: Layout, change: Callable[[str], str]) -> Layout | None:
    """The first run that the change alters, altered; in the line's text and the layout's, too."""
    for number, line in enumerate(layout.lines):
        for place, run in enumerate(line.runs):
            new = change(run.text)
            if new != run.text:
                runs = (*line.runs[:place], run.model_copy(update={"text": new}), *line.runs[place + 1 :])
                text = "".join(each.text for each in runs)
                changed = line.model_copy(update={"runs": runs, "text": text})
                lines = (*layout.lines[:number], changed, *layout.lines[number + 1 :])
                return layout.model_copy(update={"lines": lines, "text": layout.text.replace(run.text, new, 1)})
    return None


def ink_px(layout: Layout) -> Corners:
    return outer_corners(layout.ink, layout.size)


def em_px(layout: Layout) -> int:
    return layout.font_size_px


def largest_object(good: DrawnAd) -> Rect | None:
    return max((found.box for found in good.scene.objects), key=lambda box: box.area, default=None)


def spread(line: TextLine, layout: Layout, fonts: Fonts, factor: float) -> TextLine:
    """Each letter a run of its own, set so many times as far from the next as the font has it."""
    size_px = layout.font_size_of(line)
    letters: list[GlyphRun] = []
    for run in line.runs:
        pen = run.origin_x_px
        for letter in run.text:
            letters.append(run.model_copy(update={"text": letter, "origin_x_px": pen}))
            pen += advances([(letter, run.face)], size_px, fonts)[0] * factor
    return line.model_copy(update={"runs": tuple(letters)})


def mean_colour(image: Picture, box: Corners) -> Rgb:
    left, top, right, bottom = box
    red, green, blue = image[top:bottom, left:right].reshape(-1, 3).mean(axis=0)
    return int(red), int(green), int(blue)


def in_box(image: Picture, box: Corners, work: Callable[[Picture], Any]) -> Picture:
    """The picture with the box's pixels worked on."""
    left, top, right, bottom = box
    result = image.copy()
    result[top:bottom, left:right] = work(image[top:bottom, left:right])
    return result


def plate_over(layout: Layout, rect: Rect, color: Rgb, opacity: float) -> Layout:
    return layout.model_copy(update={"panel": Panel(rect=rect, color=color, opacity=opacity)})


def swapped(lines: Sequence[TextLine], first: int, second: int) -> tuple[TextLine, ...]:
    """The places of two lines exchanged, their order in the record kept."""
    a, b = lines[first], lines[second]
    down_px = b.runs[0].origin_y_px - a.runs[0].origin_y_px

    def at(line: TextLine, ink: Rect, by_px: float) -> TextLine:
        runs = tuple(run.model_copy(update={"origin_y_px": run.origin_y_px + by_px}) for run in line.runs)
        return line.model_copy(
            update={"runs": runs, "ink": line.ink.model_copy(update={"y": ink.y, "height": ink.height})}
        )

    changed = list(lines)
    changed[first], changed[second] = at(a, b.ink, down_px), at(b, a.ink, -down_px)
    return tuple(changed)
