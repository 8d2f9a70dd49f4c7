"""Which colour the text gets, and the weakest scrim under it that proves the contrast asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stages.imaging.arrays import Floats, Picture
from stages.imaging.blending import blend
from stages.imaging.contrast import contrast_ratio, first_percentile
from stages.values import Rgb

WHITE: Rgb = (255, 255, 255)
INK: Rgb = (20, 20, 20)
BLACK: Rgb = (0, 0, 0)
_STEPS = 100
_RECOMMENDATION_WORTH = 12.0
"""A recommended colour is kept when its scrim changes the picture by at most so many levels of 255 more."""


class TextColours(NamedTuple):
    """Text colour and scrim; `contrast_p1` is what 99 % of the pixels beside the glyphs reach."""

    fill: Rgb
    scrim: Rgb
    opacity: float
    contrast_p1: float


def choose_colours(
    beside: Sequence[Picture], recommended: Rgb, ratio: float, least_opacity: float = 0.0
) -> TextColours:
    """Colour first, then the smallest scrim. `beside`: the pixels next to the glyphs, (n, 3) for each line.

    The recommended colour is taken if it reaches `ratio` at the 1st percentile of every line, else white
    or near-black, whichever contrasts more; when no colour does alone, the pair of colour and scrim that
    changes the picture least.
    """
    if least_opacity == 0.0:
        alone = [TextColours(fill, BLACK, 0.0, weakest(fill, beside)) for fill in (recommended, WHITE, INK, BLACK)]
        passing = [paint for paint in alone if paint.contrast_p1 >= ratio]
        if passing and passing[0].fill == recommended:
            return passing[0]
        # Pure black is for grounds on which nothing softer passes.
        if passing:
            return max(passing, key=lambda paint: (paint.fill != BLACK, paint.contrast_p1))
    return _with_scrim(beside, recommended, ratio, least_opacity)


def weakest(fill: Rgb, beside: Sequence[Picture]) -> float:
    """The contrast that 99 % of the pixels beside every single line reach."""
    return min(first_percentile(fill, pixels) for pixels in beside)


def _with_scrim(beside: Sequence[Picture], recommended: Rgb, ratio: float, least_opacity: float) -> TextColours:
    """The pair of colour and scrim that changes the picture least: light on a dark picture is fog."""
    pixels = np.concatenate(beside)
    dark, light = tints(pixels)
    pairs = [(WHITE, dark), (INK, light), (recommended, dark), (recommended, light)]
    found = [smallest_scrim(beside, fill, scrim, ratio, least_opacity) for fill, scrim in pairs]
    usable = [paint for paint in found if paint is not None]
    mean = pixels.mean(axis=0)

    def change(paint: TextColours) -> float:
        worth = _RECOMMENDATION_WORTH if paint.fill == recommended else 0.0
        return paint.opacity * float(np.abs(mean - np.asarray(paint.scrim)).mean()) - worth

    return min(usable, key=change)


def smallest_scrim(
    beside: Sequence[Picture], fill: Rgb, scrim: Rgb, ratio: float, least_opacity: float = 0.0
) -> TextColours | None:
    """The least opacity, in whole percent, at which the scrim proves the ratio; None if not even a full one.

    Between white text and a black scrim 0.537 is always enough for 4.5:1, 0.459 with black on white.
    """
    low, high = round(least_opacity * _STEPS), _STEPS
    if contrast_ratio(fill, scrim) < ratio:
        return None
    while low < high:
        middle = (low + high) // 2
        enough = weakest(fill, _shaded(beside, scrim, middle / _STEPS)) >= ratio
        low, high = (low, middle) if enough else (middle + 1, high)
    opacity = low / _STEPS
    return TextColours(fill, scrim, opacity, weakest(fill, _shaded(beside, scrim, opacity)))


def _shaded(beside: Sequence[Picture], scrim: Rgb, opacity: float) -> list[Picture]:
    return [blend(pixels, scrim, opacity) for pixels in beside]


def tints(pixels: Picture) -> tuple[Rgb, Rgb]:
    """A near-black and a near-white in the hue of the picture around the text, calmer than the pure ones."""
    mean = pixels.mean(axis=0)
    dark = mean * (26.0 / max(26.0, float(mean.max())))
    light = 255.0 - (255.0 - mean) * 0.08
    return _rgb(dark), _rgb(light)


def _rgb(color: Floats) -> Rgb:
    red, green, blue = (round(float(channel)) for channel in color)
    return red, green, blue
