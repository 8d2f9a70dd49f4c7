"""Generated ad scenes: one to five objects on a background, with the exact mask of each; the seed is the scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
from numpy.random import Generator
from PIL import Image as Pillow

from stages.imaging.arrays import Bits, Picture
from stages.imaging.morphology import bounds
from stages.values import Rect, Size
from testing.scenes import grounds, objects
from testing.scenes.scene import Scene, TrueObject

FORMATS = (
    (1080, 1080),
    (1080, 1350),
    (1080, 1920),
    (1920, 1080),
    (512, 512),
    (1280, 720),
    (768, 960),
    (2160, 2160),
)
_LAYOUTS = ("centred", "left", "right", "low", "high", "two apart", "row of three", "five scattered")


def scenes(first: int) -> Iterator[Callable[[], Scene]]:
    """Every ground in both lights six times; arrangements, formats and objects take turns. Made when called.

    They are numbered from `first`: another number is another scene.
    """
    for number, (ground, dark, _) in enumerate(product(grounds.GROUNDS, (False, True), range(6)), start=first):
        layout = _LAYOUTS[(number * 5 + number // len(_LAYOUTS)) % len(_LAYOUTS)]
        yield _maker(number, ground, dark, layout, FORMATS[(number + number // 3) % len(FORMATS)])


def _maker(number: int, ground: str, dark: bool, layout: str, dimensions: tuple[int, int]) -> Callable[[], Scene]:
    return lambda: make(number, ground, dark, layout, dimensions)


def make(number: int, ground: str, dark: bool, layout: str, dimensions: tuple[int, int]) -> Scene:
    random = np.random.default_rng(1000 + number)
    width, height = dimensions
    image = grounds.paint(ground, width, height, dark, random)
    placed = []
    for corner_x, corner_y, side in _places(layout, width, height, random):
        label = objects.LABELS[int(random.integers(len(objects.LABELS)))]
        picture, mask = _pasted(image, objects.paint(label, side, random), corner_x, corner_y)
        image = picture
        placed.append((label, mask))
    true_objects = tuple(_true_object(label, mask) for label, mask in _in_front(placed))
    shade = "dark" if dark else "light"
    return Scene(f"{number:03d} {ground} {shade} {layout} {width}x{height}", image, true_objects)


def _places(layout: str, width: int, height: int, random: Generator) -> list[tuple[int, int, int]]:
    """(left, top, side) in px of square frames; they may overlap a little where objects stand together."""
    short = min(width, height)

    def frame(x: float, y: float, share: float) -> tuple[int, int, int]:
        side = round(short * share * float(random.uniform(0.9, 1.1)))
        jitter_x, jitter_y = random.uniform(-0.02, 0.02, 2)
        return round((x + jitter_x) * width - side / 2), round((y + jitter_y) * height - side / 2), side

    if layout == "five scattered":
        spots = [(0.18, 0.2), (0.8, 0.22), (0.5, 0.52), (0.2, 0.8), (0.8, 0.78)]
        return [frame(x, y, 0.24) for x, y in spots]
    single = {
        "centred": [(0.5, 0.55, 0.5)],
        "left": [(0.27, 0.55, 0.48)],
        "right": [(0.73, 0.5, 0.48)],
        "low": [(0.5, 0.74, 0.46)],
        "high": [(0.5, 0.27, 0.46)],
        "two apart": [(0.24, 0.3, 0.36), (0.75, 0.72, 0.36)],
        "row of three": [(0.2, 0.62, 0.3), (0.5, 0.6, 0.32), (0.8, 0.62, 0.3)],
    }
    return [frame(*spot) for spot in single[layout]]


def _pasted(image: Picture, item: objects.Painted, left: int, top: int) -> tuple[Picture, Bits]:
    """The picture with an object and its soft shadow on it, and the object's mask."""
    height, width = image.shape[:2]
    canvas = Pillow.fromarray(image).convert("RGBA")
    canvas.alpha_composite(_at(item.shadow, left, top, width, height))
    canvas.alpha_composite(_at(item.picture, left, top, width, height))
    alpha = np.asarray(_at(item.picture, left, top, width, height))[..., 3]
    return np.asarray(canvas.convert("RGB")), alpha > 127


def _at(layer: Pillow.Image, left: int, top: int, width: int, height: int) -> Pillow.Image:
    whole = Pillow.new("RGBA", (width, height), (0, 0, 0, 0))
    whole.paste(layer, (left, top))
    return whole


def _in_front(placed: list[tuple[str, Bits]]) -> Iterator[tuple[str, Bits]]:
    """Each object's visible pixels: later ones stand in front."""
    for number, (label, mask) in enumerate(placed):
        hidden = np.logical_or.reduce([later for _, later in placed[number + 1 :]] or [np.zeros_like(mask)])
        yield label, mask & ~hidden


def _true_object(label: str, mask: Bits) -> TrueObject:
    corners = bounds(mask)
    if corners is None:
        raise ValueError(f"the {label} lies outside the picture")
    return TrueObject(label, Rect.from_corners_px(*corners, _size(mask)), mask)


def _size(mask: Bits) -> Size:
    return Size(width_px=mask.shape[1], height_px=mask.shape[0])
