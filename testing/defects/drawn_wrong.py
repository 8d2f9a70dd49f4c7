"""Defects of what is drawn: the text lies, looks or reads wrong, and the record says so as well."""

from __future__ import annotations

import re
from collections.abc import Callable

from stages.type.glyphs import placed_runs
from stages.values import Layout, Rect
from testing.defects.perturb import (
    DrawnAd,
    defect,
    em_px,
    ink_px,
    largest_object,
    mean_colour,
    moved,
    plate_over,
    respelled,
    spread,
    swapped,
)

_OTHER_COPY = "Lorem ipsum dolor sit amet"


def _to_point(good: DrawnAd, x: float, y: float) -> Layout:
    """The ink's centre at this point of the picture, in fractions."""
    left, top, right, bottom = ink_px(good.layout)
    size = good.layout.size
    return moved(good.layout, x * size.width_px - (left + right) / 2, y * size.height_px - (top + bottom) / 2)


@defect("text moved onto an object")
def _onto(good: DrawnAd) -> Layout | None:
    box = largest_object(good)
    return _to_point(good, box.x + box.width / 2, box.y + box.height / 2) if box else None


@defect("text moved onto an object's edge")
def _onto_edge(good: DrawnAd) -> Layout | None:
    """Its centre on the edge of the object that is nearer to the text."""
    box = largest_object(good)
    if box is None:
        return None
    above = good.layout.ink.y < box.y
    return _to_point(good, box.x + box.width / 2, box.y if above else box.bottom)


def _off(name: str, shift: Callable[[DrawnAd], tuple[float, float]]) -> None:
    defect(name)(lambda good: moved(good.layout, *shift(good)))


_off("cut off at the left", lambda good: (-ink_px(good.layout)[0] - em_px(good.layout), 0))
_off("cut off at the right", lambda good: (good.layout.size.width_px - ink_px(good.layout)[2] + em_px(good.layout), 0))
_off("cut off at the top", lambda good: (0, -ink_px(good.layout)[1] - em_px(good.layout) / 3))
_off(
    "cut off at the bottom",
    lambda good: (0, good.layout.size.height_px - ink_px(good.layout)[3] + em_px(good.layout) / 3),
)
_off("at the very edge", lambda good: (-ink_px(good.layout)[0] + 2, 0))


@defect("shrunk below what can be read")
def _shrunk(good: DrawnAd) -> Layout:
    """To half the least size, on the same baselines."""
    layout = good.layout
    size_px = max(6, round(0.013 * min(layout.size.width_px, layout.size.height_px)))
    lines = []
    for line in layout.lines:
        x_px, y_px = (round(line.runs[0].origin_x_px), round(line.runs[0].origin_y_px))
        runs = placed_runs([(run.text, run.face) for run in line.runs], size_px, x_px, y_px, good.fonts)
        lines.append(line.model_copy(update={"runs": runs, "font_size_px": size_px}))
    return layout.model_copy(update={"lines": tuple(lines), "font_size_px": size_px})


@defect("in the colour of the ground")
def _like_ground(good: DrawnAd) -> Layout:
    ground = mean_colour(good.scene.image, ink_px(good.layout))
    return good.layout.model_copy(update={"fill": ground, "panel": None})


@defect("nearly in the colour of the ground")
def _near_ground(good: DrawnAd) -> Layout:
    red, green, blue = (min(255, level + 28) for level in mean_colour(good.scene.image, ink_px(good.layout)))
    return good.layout.model_copy(update={"fill": (red, green, blue), "panel": None})


@defect("in the colour of its plate")
def _like_plate(good: DrawnAd) -> Layout:
    fill = good.layout.fill
    return plate_over(good.layout, good.layout.ink, fill, 0.95)


@defect("a plate over an object")
def _plate_over_object(good: DrawnAd) -> Layout | None:
    box = largest_object(good)
    if box is None:
        return None
    color = (20, 20, 20) if sum(good.layout.fill) > 380 else (240, 240, 240)
    ink = good.layout.ink
    left, top = min(box.x, ink.x), min(box.y, ink.y)
    both = Rect(x=left, y=top, width=max(box.right, ink.right) - left, height=max(box.bottom, ink.bottom) - top)
    return plate_over(good.layout, both, color, 0.97)


def _respelled(name: str, pattern: str, replacement: str | Callable[[re.Match[str]], str]) -> None:
    defect(name)(lambda good: respelled(good.layout, lambda text: re.sub(pattern, replacement, text, count=1)))


_respelled("a wrong digit in a price", r"\d(?=[\d,]*(?:원|\b))", lambda match: str((int(match.group()) + 1) % 10))
_respelled("a digit missing", r"(?<=\d)\d", "")
_respelled("a digit too many", r"\d", lambda match: match.group() * 2)
_respelled("the comma of a price moved", r"(\d),(\d)", r"\1\2,")
_respelled("the won sign lost", r"(?<=\d)원|₩(?=\d)", "")
_respelled("the per cent sign lost", r"(?<=\d)%", "")
_respelled("two digits exchanged", r"(\d)((?!\1)\d)", r"\2\1")
_respelled("a phone number's dash lost", r"(?<=\d)-(?=\d)", "")
_respelled("a wrong syllable", r"[가-힣]", lambda match: "뷁" if match.group() != "뷁" else "쀍")
_respelled("a wrong letter", r"[a-z]", lambda match: "x" if match.group() != "x" else "y")
_respelled("two letters exchanged", r"([a-z가-힣])((?!\1)[a-z가-힣])", r"\2\1")
_respelled("a letter missing", r"(?<=[a-z가-힣])[a-z가-힣]", "")
_respelled("a word missing", r"^\S+ ", "")
_respelled("a word twice", r"^(\S+) ", r"\1 \1 ")
_respelled("small and capital letters exchanged", r"[A-Z]", lambda match: match.group().lower())
_respelled("the full stop lost", r"[.!?]$", "")
_respelled("no glyph for a letter", r"[a-z가-힣]", "\ue000")
_respelled("another copy", r"^.*$", _OTHER_COPY)


@defect("a line missing")
def _line_missing(good: DrawnAd) -> Layout | None:
    lines = good.layout.lines
    return good.layout.model_copy(update={"lines": lines[:-1]}) if len(lines) > 1 else None


@defect("lines in the wrong order")
def _lines_swapped(good: DrawnAd) -> Layout | None:
    lines = good.layout.lines
    return good.layout.model_copy(update={"lines": swapped(lines, 0, 1)}) if len(lines) > 1 else None


@defect("lines on one another")
def _lines_collide(good: DrawnAd) -> Layout | None:
    first, *others = good.layout.lines
    if not others:
        return None
    by_px = -0.6 * (others[0].runs[0].origin_y_px - first.runs[0].origin_y_px)
    runs = tuple(run.model_copy(update={"origin_y_px": run.origin_y_px + by_px}) for run in others[0].runs)
    raised = others[0].model_copy(update={"runs": runs})
    return good.layout.model_copy(update={"lines": (first, raised, *others[1:])})


@defect("letters pushed together")
def _tight(good: DrawnAd) -> Layout | None:
    first, *others = good.layout.lines
    tight = spread(first, good.layout, good.fonts, 0.7)
    return good.layout.model_copy(update={"lines": (tight, *others)}) if len(tight.runs) > 1 else None


@defect("letters up and down")
def _dancing(good: DrawnAd) -> Layout | None:
    first, *others = good.layout.lines
    letters = spread(first, good.layout, good.fonts, 1.0).runs
    runs = tuple(
        run.model_copy(update={"origin_y_px": run.origin_y_px + (number % 2) * 0.25 * em_px(good.layout)})
        for number, run in enumerate(letters)
    )
    danced = first.model_copy(update={"runs": runs})
    return good.layout.model_copy(update={"lines": (danced, *others)}) if len(runs) > 1 else None
