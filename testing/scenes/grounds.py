"""Grounds of generated scenes: plain, gradient, wood, marble, cloth, bokeh, clutter and fine pattern."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter

from stages.imaging.arrays import Floats, Picture

Painter = Callable[[int, int, bool, Generator], Floats]


def paint(ground: str, width: int, height: int, dark: bool, random: Generator) -> Picture:
    """(height, width, 3) uint8, with the faint grain that any camera leaves."""
    painted = _PAINTERS[ground](width, height, dark, random)
    grain = random.normal(0, 1.5, (height, width, 1))
    return np.clip(np.rint(painted + grain), 0, 255).astype(np.uint8)


def color(random: Generator, dark: bool, strong: float = 1.0) -> Floats:
    """A colour as grounds have it, 0…255."""
    value = random.uniform(0.12, 0.32) if dark else random.uniform(0.78, 0.97)
    rgb = colorsys.hsv_to_rgb(random.uniform(), strong * random.uniform(0.1, 0.55), value)
    return np.asarray(rgb) * 255


def smooth_noise(width: int, height: int, columns: int, rows: int, random: Generator) -> Floats:
    """(height, width), 0…1, with about so many bumps across and down."""
    coarse = Pillow.fromarray((random.uniform(0, 255, (rows + 2, columns + 2))).astype(np.uint8))
    return np.asarray(coarse.resize((width, height), Pillow.Resampling.BICUBIC), dtype=np.float64) / 255


def _plain(width: int, height: int, dark: bool, random: Generator) -> Floats:
    return np.broadcast_to(color(random, dark), (height, width, 3)).copy()


def _gradient(width: int, height: int, dark: bool, random: Generator) -> Floats:
    one, other = color(random, dark), color(random, dark) * random.uniform(0.5, 0.95)
    angle = random.uniform(0, np.pi)
    ys, xs = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    along = np.clip(0.5 + (xs - 0.5) * np.cos(angle) + (ys - 0.5) * np.sin(angle), 0, 1)[..., None]
    return np.asarray(one + (other - one) * along)


def _wood(width: int, height: int, dark: bool, random: Generator) -> Floats:
    base = np.array([92.0, 58, 34]) if dark else np.array([205.0, 165, 118])
    grain = smooth_noise(width, height, 3, 90, random) * 0.6 + smooth_noise(width, height, 9, 260, random) * 0.4
    planks = (np.arange(height) // max(1, height // 6)) % 2
    tone = 0.8 + 0.35 * grain + 0.05 * planks[:, None]
    seams = (np.arange(height) % max(1, height // 6)) < max(2, height // 360)
    tone[seams] *= 0.55
    return np.asarray(base * tone[..., None])


def _marble(width: int, height: int, dark: bool, random: Generator) -> Floats:
    base = color(random, dark, 0.25)
    vein = np.abs(smooth_noise(width, height, 6, 6, random) - 0.5) + 0.2 * smooth_noise(width, height, 24, 24, random)
    lines = np.clip(1.0 - vein * 7, 0, 1)[..., None]
    return np.asarray(base + (90 if dark else -90) * lines * 0.7)


def _cloth(width: int, height: int, dark: bool, random: Generator) -> Floats:
    one, other = color(random, dark), color(random, not dark) * 0.9
    pitch = max(16, min(width, height) // int(random.integers(9, 16)))
    across = ((np.arange(width) // pitch) % 2)[None, :, None]
    down = ((np.arange(height) // pitch) % 2)[:, None, None]
    return np.asarray(one + (other - one) * 0.35 * (across + down))


def _bokeh(width: int, height: int, dark: bool, random: Generator) -> Floats:
    canvas = Pillow.fromarray(_gradient(width, height, dark, random).astype(np.uint8))
    draw = ImageDraw.Draw(canvas, "RGBA")
    short = min(width, height)
    for _ in range(26):
        x, y, radius = random.uniform(0, width), random.uniform(0, height), random.uniform(0.03, 0.11) * short
        red, green, blue = (int(value) for value in np.clip(color(random, not dark), 0, 255))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(red, green, blue, 90))
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(short / 130)), dtype=np.float64)


def _clutter(width: int, height: int, dark: bool, random: Generator) -> Floats:
    canvas = Pillow.fromarray(_plain(width, height, dark, random).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    short = min(width, height)
    for _ in range(170):
        x, y, reach = random.uniform(0, width), random.uniform(0, height), random.uniform(0.01, 0.06) * short
        tone = color(random, bool(random.integers(2)))
        fill = (int(tone[0]), int(tone[1]), int(tone[2]))
        if random.integers(2):
            draw.rectangle((x, y, x + reach, y + reach * random.uniform(0.4, 2)), fill=fill)
        else:
            draw.line((x, y, x + random.uniform(-3, 3) * reach, y + reach), fill=fill, width=max(1, short // 250))
    return np.asarray(canvas, dtype=np.float64)


def _pattern(width: int, height: int, dark: bool, random: Generator) -> Floats:
    pitch = int(random.integers(3, 9))
    ys, xs = np.mgrid[:height, :width] // pitch
    weave = ((ys + xs) % 2).astype(np.float64)[..., None]
    one, other = color(random, dark), color(random, not dark)
    return np.asarray(one + (other - one) * weave * random.uniform(0.3, 1.0))


_PAINTERS: dict[str, Painter] = {
    "plain": _plain,
    "gradient": _gradient,
    "wood": _wood,
    "marble": _marble,
    "cloth": _cloth,
    "bokeh": _bokeh,
    "clutter": _clutter,
    "fine pattern": _pattern,
}
GROUNDS = tuple(_PAINTERS)
