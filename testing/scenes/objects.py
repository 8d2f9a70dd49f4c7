"""Things that ads show: dish, bowl, cup, bottle, cake and person, drawn with light, texture and a shadow."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter

from stages.values import Rgb

_FINE = 2
"""Things are drawn so many times as large and reduced, so that their edges are as soft as a lens leaves them."""


class Painted(NamedTuple):
    """Square RGBA pictures of the same side: the object, opaque where it is, and the shadow it throws."""

    picture: Pillow.Image
    shadow: Pillow.Image


Painter = Callable[[ImageDraw.ImageDraw, int, Generator], None]


def paint(label: str, side_px: int, random: Generator) -> Painted:
    side = side_px * _FINE
    layer = Pillow.new("RGBA", (side, side), (0, 0, 0, 0))
    _PAINTERS[label](ImageDraw.Draw(layer), side, random)
    reduced = _lit(layer.resize((side_px, side_px), Pillow.Resampling.LANCZOS), random)
    shade = reduced.getchannel("A").filter(ImageFilter.GaussianBlur(side_px / 22)).point(lambda value: value * 0.4)
    shadow = Pillow.new("RGBA", reduced.size, (0, 0, 0, 255))
    # An affine transform leaves what comes in from outside empty.
    moved = (1, 0, -side_px // 40, 0, 1, -side_px // 24)
    shadow.putalpha(shade.transform(shade.size, Pillow.Transform.AFFINE, moved))
    return Painted(reduced, shadow)


def _lit(layer: Pillow.Image, random: Generator) -> Pillow.Image:
    """Light from the upper left and a fine texture."""
    pixels = np.asarray(layer).astype(np.float64)
    height, width = pixels.shape[:2]
    ys, xs = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    light = 1.18 - 0.42 * (0.6 * xs + 0.4 * ys)
    texture = random.normal(1.0, 0.035, (height, width))
    pixels[..., :3] = np.clip(pixels[..., :3] * (light * texture)[..., None], 0, 255)
    return Pillow.fromarray(pixels.astype(np.uint8), "RGBA")


def _hue(random: Generator, low: float, high: float, strong: float, bright: float) -> Rgb:
    rgb = colorsys.hsv_to_rgb(
        random.uniform(low, high), strong * random.uniform(0.7, 1), bright * random.uniform(0.8, 1)
    )
    return int(rgb[0] * 255), int(rgb[1] * 255), int(rgb[2] * 255)


def _food(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], random: Generator) -> None:
    """An ellipse heaped with pieces."""
    left, top, right, bottom = box
    draw.ellipse(box, fill=_hue(random, 0.02, 0.13, 0.8, 0.8))
    across, down = right - left, bottom - top
    for _ in range(60):
        angle, reach = random.uniform(0, 2 * np.pi), 0.4 * random.uniform() ** 0.5
        x = (left + right) / 2 + np.cos(angle) * reach * across
        y = (top + bottom) / 2 + np.sin(angle) * reach * down
        piece = random.uniform(0.03, 0.08) * across
        hue = (0.25, 0.35) if random.uniform() < 0.3 else (0.0, 0.14)
        draw.ellipse((x - piece, y - piece * 0.7, x + piece, y + piece * 0.7), fill=_hue(random, *hue, 0.9, 0.9))


def _dish(draw: ImageDraw.ImageDraw, side: int, random: Generator) -> None:
    china = _hue(random, 0.0, 1.0, 0.12, 0.97)
    draw.ellipse((0.03 * side, 0.06 * side, 0.97 * side, 0.94 * side), fill=china)
    rim = (china[0] - 25, china[1] - 25, china[2] - 25)
    draw.ellipse((0.13 * side, 0.15 * side, 0.87 * side, 0.85 * side), outline=rim, width=max(2, side // 90))
    _food(draw, (0.22 * side, 0.24 * side, 0.78 * side, 0.76 * side), random)


def _bowl(draw: ImageDraw.ImageDraw, side: int, random: Generator) -> None:
    outside = _hue(random, 0.0, 1.0, 0.7, 0.6)
    draw.chord((0.05 * side, -0.05 * side, 0.95 * side, 0.92 * side), 0, 180, fill=outside)
    draw.ellipse((0.05 * side, 0.28 * side, 0.95 * side, 0.6 * side), fill=outside)
    _food(draw, (0.1 * side, 0.31 * side, 0.9 * side, 0.56 * side), random)


def _cup(draw: ImageDraw.ImageDraw, side: int, random: Generator) -> None:
    china = _hue(random, 0.0, 1.0, 0.35, 0.95)
    handle = (0.66 * side, 0.38 * side, 0.94 * side, 0.7 * side)
    draw.ellipse(handle, outline=china, width=max(3, side // 18))
    wall = ((0.1, 0.25), (0.76, 0.25), (0.64, 0.88), (0.22, 0.88))
    draw.polygon([(x * side, y * side) for x, y in wall], fill=china)
    draw.ellipse((0.22 * side, 0.82 * side, 0.64 * side, 0.94 * side), fill=china)
    draw.ellipse((0.1 * side, 0.14 * side, 0.76 * side, 0.36 * side), fill=china)
    draw.ellipse((0.14 * side, 0.17 * side, 0.72 * side, 0.33 * side), fill=_hue(random, 0.05, 0.09, 0.8, 0.4))


def _bottle(draw: ImageDraw.ImageDraw, side: int, random: Generator) -> None:
    glass, label = _hue(random, 0.2, 0.6, 0.7, 0.5), _hue(random, 0.0, 1.0, 0.25, 0.95)
    draw.rounded_rectangle((0.33 * side, 0.36 * side, 0.67 * side, 0.97 * side), radius=0.06 * side, fill=glass)
    shoulders = ((0.33, 0.42), (0.44, 0.25), (0.56, 0.25), (0.67, 0.42))
    draw.polygon([(x * side, y * side) for x, y in shoulders], fill=glass)
    draw.rectangle((0.44 * side, 0.06 * side, 0.56 * side, 0.27 * side), fill=glass)
    draw.rectangle((0.43 * side, 0.03 * side, 0.57 * side, 0.09 * side), fill=_hue(random, 0, 1, 0.8, 0.7))
    draw.rectangle((0.33 * side, 0.52 * side, 0.67 * side, 0.8 * side), fill=label)


def _cake(draw: ImageDraw.ImageDraw, side: int, random: Generator) -> None:
    layers = [_hue(random, 0.02, 0.15, 0.6, 0.9) for _ in range(3)]
    for number, fill in enumerate(layers):
        top = (0.38 + 0.18 * number) * side
        draw.rounded_rectangle((0.1 * side, top, 0.9 * side, top + 0.2 * side), radius=0.03 * side, fill=fill)
    draw.ellipse((0.1 * side, 0.26 * side, 0.9 * side, 0.5 * side), fill=_hue(random, 0.9, 1.0, 0.3, 0.98))
    for number in range(5):
        x = (0.22 + 0.14 * number) * side
        berry = (x - 0.055 * side, 0.22 * side, x + 0.055 * side, 0.33 * side)
        draw.ellipse(berry, fill=_hue(random, 0.96, 1.0, 0.9, 0.85))


def _person(draw: ImageDraw.ImageDraw, side: int, random: Generator) -> None:
    skin, hair = _hue(random, 0.04, 0.08, 0.5, 0.95), _hue(random, 0.03, 0.09, 0.6, 0.35)
    clothes = _hue(random, 0.0, 1.0, 0.6, 0.75)
    draw.pieslice((0.08 * side, 0.52 * side, 0.92 * side, 1.48 * side), 180, 360, fill=clothes)
    draw.rectangle((0.42 * side, 0.45 * side, 0.58 * side, 0.6 * side), fill=skin)
    draw.ellipse((0.29 * side, 0.03 * side, 0.71 * side, 0.5 * side), fill=hair)
    draw.ellipse((0.32 * side, 0.1 * side, 0.68 * side, 0.54 * side), fill=skin)
    for x in (0.43, 0.57):
        draw.ellipse(((x - 0.025) * side, 0.27 * side, (x + 0.025) * side, 0.3 * side), fill=(40, 30, 30))
    mouth = (0.42 * side, 0.32 * side, 0.58 * side, 0.45 * side)
    draw.arc(mouth, 20, 160, fill=(150, 60, 60), width=max(2, side // 80))


_PAINTERS: dict[str, Painter] = {
    "dish": _dish,
    "bowl": _bowl,
    "cup": _cup,
    "bottle": _bottle,
    "cake": _cake,
    "person": _person,
}
LABELS = tuple(_PAINTERS)
