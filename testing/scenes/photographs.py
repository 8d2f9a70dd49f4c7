"""Photographs that ship in installed packages, with boxes marked by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image as Pillow

from stages.values import Rect
from testing.scenes.scene import Scene, TrueObject

_DATA = Path(__file__).with_name("photographs.json")
_SHORT_SIDE_PX = 1080
_LEAST_SHARE = 0.2
"""An object of which a crop leaves less than this is no longer one that people would miss."""

Corners = tuple[float, float, float, float]
Marked = tuple[str, float, float, float, float]


def photographs(edition: int) -> Iterator[Callable[[], Scene]]:
    """Each crop of each photograph whose package is installed; loaded when called.

    The first edition has the crops that are marked, every other one crops of its own, chosen at random.
    """
    random = np.random.default_rng(edition)
    for entry in json.loads(_DATA.read_text(encoding="utf-8"))["photographs"]:
        folder = _package_folder(entry["package"])
        if folder is not None and (folder / entry["file"]).is_file():
            for marked in entry["crops"]:
                crop = _elsewhere(marked, entry["objects"], random) if edition else marked
                yield _loader(folder / entry["file"], crop, entry["objects"])


def _elsewhere(crop: Corners, objects: list[Marked], random: Generator) -> Corners:
    """As wide and high as the crop or up to a quarter smaller, anywhere where one of the objects is to be seen."""
    while True:
        width, height = np.subtract(crop[2:], crop[:2]) * random.uniform(0.75, 1.0)
        left, top = random.uniform(0.0, 1.0 - width), random.uniform(0.0, 1.0 - height)
        moved = (float(left), float(top), float(left + width), float(top + height))
        if not objects or any(_inside(moved, objects)):
            return moved


def _package_folder(package: str) -> Path | None:
    found = find_spec(package)
    return Path(found.origin).parent if found is not None and found.origin else None


def _loader(path: Path, crop: Corners, objects: list[Marked]) -> Callable[[], Scene]:
    return lambda: _load(path, crop, objects)


def _load(path: Path, crop: Corners, objects: list[Marked]) -> Scene:
    with Pillow.open(path) as photograph:
        whole = photograph.convert("RGB")
    left, top, right, bottom = crop
    cut = whole.crop((left * whole.width, top * whole.height, right * whole.width, bottom * whole.height))
    scale = _SHORT_SIDE_PX / min(cut.size)
    enlarged = cut.resize((round(cut.width * scale), round(cut.height * scale)), Pillow.Resampling.LANCZOS)
    name = f"{path.name} {enlarged.width}x{enlarged.height} from {left:g},{top:g}"
    return Scene(name, np.asarray(enlarged), tuple(_inside(crop, objects)))


def _inside(crop: Corners, objects: list[Marked]) -> Iterator[TrueObject]:
    width, height = crop[2] - crop[0], crop[3] - crop[1]
    for label, left, top, right, bottom in objects:
        x0, x1 = max(left, crop[0]), min(right, crop[2])
        y0, y1 = max(top, crop[1]), min(bottom, crop[3])
        kept = max(0.0, x1 - x0) * max(0.0, y1 - y0) / ((right - left) * (bottom - top))
        if kept > _LEAST_SHARE:
            x, y = (x0 - crop[0]) / width, (y0 - crop[1]) / height
            box = Rect(x=x, y=y, width=min(1 - x, (x1 - x0) / width), height=min(1 - y, (y1 - y0) / height))
            yield TrueObject(label, box, None)
