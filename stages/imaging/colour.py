"""The colour of the text, and the weakest scrim under it with which it reaches a required contrast."""

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
"""The recommended colour is kept when its scrim changes the picture by at most so many levels of 255 more."""


class TextColours(NamedTuple):
    """Colours of text and scrim; 99 % of the pixels beside the glyphs reach the contrast `contrast_p1`."""

    fill: Rgb
    scrim: Rgb
    opacity: float
    contrast_p1: float


def choose_colours(
    beside: Sequence[Picture], recommended: Rgb, ratio: float, least_opacity: float = 0.0
) -> TextColours:
    """The colour that reaches `ratio` without a scrim, else the pair of colour and scrim that changes least.

    `beside` are the pixels next to the glyphs, (n, 3) for each line; `ratio` counts at the 1st percentile of every
    line. The recommended colour is taken if it reaches that, else white or near-black, whichever contrasts more. A
    `least_opacity` above 0 asks for a scrim in any case.
    """
    if least_opacity == 0.0:
        alone = [
            TextColours(fill, BLACK, 0.0, weakest_contrast(fill, beside)) for fill in (recommended, WHITE, INK, BLACK)
        ]
        passing = [colours for colours in alone if colours.contrast_p1 >= ratio]
        if passing and passing[0].fill == recommended:
            return passing[0]
        # Pure black only where near-black does not pass.
        if passing:
            return max(passing, key=lambda colours: (colours.fill != BLACK, colours.contrast_p1))
    return _with_scrim(beside, recommended, ratio, least_opacity)


def weakest_contrast(fill: Rgb, beside: Sequence[Picture]) -> float:
    """The least, over the lines, of the contrast that 99 % of the pixels beside a line reach."""
    return min(first_percentile(fill, pixels) for pixels in beside)


def _with_scrim(beside: Sequence[Picture], recommended: Rgb, ratio: float, least_opacity: float) -> TextColours:
    """The pair of colour and scrim that changes the picture least; a light scrim on a dark picture looks like fog."""
    pixels = np.concatenate(beside)
    dark, light = tints(pixels)
    pairs = [(WHITE, dark), (INK, light), (recommended, dark), (recommended, light)]
    found = [weakest_scrim(beside, fill, scrim, ratio, least_opacity) for fill, scrim in pairs]
    usable = [colours for colours in found if colours is not None]
    mean = pixels.mean(axis=0)

    def change(colours: TextColours) -> float:
        worth = _RECOMMENDATION_WORTH if colours.fill == recommended else 0.0
        return colours.opacity * float(np.abs(mean - np.asarray(colours.scrim)).mean()) - worth

    return min(usable, key=change)


def weakest_scrim(
    beside: Sequence[Picture], fill: Rgb, scrim: Rgb, ratio: float, least_opacity: float = 0.0
) -> TextColours | None:
    """The least opacity, in whole percent, at which the scrim reaches the ratio; None if even a full one does not.

    On any picture, a black scrim of 0.537 is enough for white text at 4.5:1, a white one of 0.459 for black text.
    """
    low, high = round(least_opacity * _STEPS), _STEPS
    if contrast_ratio(fill, scrim) < ratio:
        return None
    while low < high:
        middle = (low + high) // 2
        enough = weakest_contrast(fill, _shaded(beside, scrim, middle / _STEPS)) >= ratio
        low, high = (low, middle) if enough else (middle + 1, high)
    opacity = low / _STEPS
    return TextColours(fill, scrim, opacity, weakest_contrast(fill, _shaded(beside, scrim, opacity)))


def _shaded(beside: Sequence[Picture], scrim: Rgb, opacity: float) -> list[Picture]:
    return [blend(pixels, scrim, opacity) for pixels in beside]


def tints(pixels: Picture) -> tuple[Rgb, Rgb]:
    """A near-black and a near-white in the hue of these pixels; they look calmer than pure black and white."""
    mean = pixels.mean(axis=0)
    dark = mean * (26.0 / max(26.0, float(mean.max())))
    light = 255.0 - (255.0 - mean) * 0.08
    return _rgb(dark), _rgb(light)


def _rgb(color: Floats) -> Rgb:
    red, green, blue = (round(float(channel)) for channel in color)
    return red, green, blue
