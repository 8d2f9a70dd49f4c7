"""Photographs that ship in installed packages, with boxes marked by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from benchmarks.creative.scenes import Scene, TrueObject
from variant_assets.stages.values import Rect

_DATA = Path(__file__).with_name("photographs.json")
_SHORT_SIDE_PX = 1080
_LEAST_SHARE = 0.2
"""An object of which a crop leaves less than this is no longer one that people would miss."""

Corners = tuple[float, float, float, float]


def photographs() -> Iterator[Callable[[], Scene]]:
    """Each crop of each photograph whose package is installed; loaded when called."""
    for entry in json.loads(_DATA.read_text(encoding="utf-8"))["photographs"]:
        folder = _package_folder(entry["package"])
        if folder is not None and (folder / entry["file"]).is_file():
            for crop in entry["crops"]:
                yield _loader(folder / entry["file"], crop, entry["objects"])


def _package_folder(package: str) -> Path | None:
    found = find_spec(package)
    return Path(found.origin).parent if found is not None and found.origin else None


def _loader(path: Path, crop: Corners, objects: list[tuple[str, float, float, float, float]]) -> Callable[[], Scene]:
    return lambda: _load(path, crop, objects)


def _load(path: Path, crop: Corners, objects: list[tuple[str, float, float, float, float]]) -> Scene:
    with Pillow.open(path) as photograph:
        whole = photograph.convert("RGB")
    left, top, right, bottom = crop
    cut = whole.crop((left * whole.width, top * whole.height, right * whole.width, bottom * whole.height))
    scale = _SHORT_SIDE_PX / min(cut.size)
    enlarged = cut.resize((round(cut.width * scale), round(cut.height * scale)), Pillow.Resampling.LANCZOS)
    name = f"{path.name} {enlarged.width}x{enlarged.height} from {left:g},{top:g}"
    return Scene(name, np.asarray(enlarged), tuple(_inside(crop, objects)))


def _inside(crop: Corners, objects: list[tuple[str, float, float, float, float]]) -> Iterator[TrueObject]:
    width, height = crop[2] - crop[0], crop[3] - crop[1]
    for label, left, top, right, bottom in objects:
        x0, x1 = max(left, crop[0]), min(right, crop[2])
        y0, y1 = max(top, crop[1]), min(bottom, crop[3])
        kept = max(0.0, x1 - x0) * max(0.0, y1 - y0) / ((right - left) * (bottom - top))
        if kept > _LEAST_SHARE:
            x, y = (x0 - crop[0]) / width, (y0 - crop[1]) / height
            box = Rect(x=x, y=y, width=min(1 - x, (x1 - x0) / width), height=min(1 - y, (y1 - y0) / height))
            yield TrueObject(label, box, None)
