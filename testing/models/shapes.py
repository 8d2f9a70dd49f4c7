"""A YOLO that finds generated dishes and cups, trained here in under a minute; small, but the real thing."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from testing.models.cache import one_maker

LABELS = ("pizza", "cup")
SIDE_PX = 160
_ARCHITECTURE = """
nc: 2
scales: {n: [0.33, 0.0625, 1024]}
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 3, C2f, [128, True]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 6, C2f, [256, True]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 6, C2f, [512, True]]
  - [-1, 1, Conv, [1024, 3, 2]]
  - [-1, 3, C2f, [1024, True]]
  - [-1, 1, SPPF, [1024, 5]]
head:
  - [-1, 1, nn.Upsample, [None, 2, "nearest"]]
  - [[-1, 6], 1, Concat, [1]]
  - [-1, 3, C2f, [512]]
  - [-1, 1, nn.Upsample, [None, 2, "nearest"]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 3, C2f, [256]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [[-1, 12], 1, Concat, [1]]
  - [-1, 3, C2f, [512]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [[-1, 9], 1, Concat, [1]]
  - [-1, 3, C2f, [1024]]
  - [[15, 18, 21], 1, {head}]
"""
_HEADS = {"detect": "Detect, [nc]", "segment": "Segment, [nc, 32, 256]"}
Task = Literal["detect", "segment"]


Corners = tuple[float, float, float, float]


def table(seed: int, side_px: int = SIDE_PX) -> tuple[NDArray[np.uint8], list[tuple[int, Corners]]]:
    """A table with one round dish and one square cup: the picture, and (label, corners in px) of each."""
    rng = np.random.default_rng(seed)
    background = tuple(int(value) for value in rng.integers(150, 230, 3))
    image = Image.new("RGB", (side_px, side_px), background)
    pen = ImageDraw.Draw(image)
    halves = rng.permutation(2)
    found: list[tuple[int, Corners]] = []
    for label, half in enumerate(halves):
        size = rng.uniform(0.22, 0.4) * side_px
        left = (
            rng.uniform(0.02, 0.45 - size / side_px if size / side_px < 0.43 else 0.03) * side_px + half * side_px / 2
        )
        top = rng.uniform(0.05, 0.95 - size / side_px) * side_px
        corners = (left, top, left + size, top + size)
        if label == 0:
            pen.ellipse(corners, fill=(190, 60, 30), outline=(120, 30, 10), width=3)
        else:
            pen.rectangle(corners, fill=(30, 60, 150), outline=(10, 20, 80), width=3)
        found.append((label, corners))
    return np.asarray(image), found


def trained(cache: Path, task: Task = "detect") -> Path:
    """The weights, from the cache when this very recipe made them before."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    weights = cache / f"shapes-{task}-{recipe}.pt"
    with one_maker(cache, weights.name):
        if not weights.exists():
            shutil.copy(_train(cache / f"training-{task}-{recipe}", task), weights)
    return weights


def _train(folder: Path, task: Task) -> Path:
    from ultralytics import YOLO

    shutil.rmtree(folder, ignore_errors=True)
    for part, seeds in (("train", range(64)), ("val", range(1000, 1008))):
        for seed in seeds:
            _write(folder, part, seed, task)
    (folder / "model.yaml").write_text(_ARCHITECTURE.replace("{head}", _HEADS[task]))
    names = "\n".join(f"  {number}: {label}" for number, label in enumerate(LABELS))
    (folder / "data.yaml").write_text(f"path: {folder}\ntrain: images/train\nval: images/val\nnames:\n{names}\n")
    model = YOLO(str(folder / "model.yaml"), task=task)
    model.train(
        data=str(folder / "data.yaml"), epochs=60, imgsz=128, batch=16, optimizer="AdamW", lr0=0.01, mosaic=0.0,
        amp=False, workers=0, seed=1, deterministic=True, plots=False, val=False, verbose=False,
        project=str(folder / "runs"), name="shapes",
    )  # fmt: skip
    return Path(model.trainer.best if model.trainer.best.exists() else model.trainer.last)


def _write(folder: Path, part: str, seed: int, task: Task) -> None:
    image, found = table(seed)
    for kind in ("images", "labels"):
        (folder / kind / part).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / "images" / part / f"{seed}.png")
    lines = [
        f"{label} "
        + " ".join(f"{value:.5f}" for value in (_box(corners) if task == "detect" else _outline(label, corners)))
        for label, corners in found
    ]
    (folder / "labels" / part / f"{seed}.txt").write_text("\n".join(lines))


def _box(corners: Corners) -> list[float]:
    """Centre and size, relative to the picture."""
    left, top, right, bottom = (value / SIDE_PX for value in corners)
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


def _outline(label: int, corners: Corners) -> list[float]:
    """x and y of each corner of a polygon, relative to the picture."""
    left, top, right, bottom = (value / SIDE_PX for value in corners)
    if LABELS[label] == "cup":
        return [left, top, right, top, right, bottom, left, bottom]
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    x, y = (left + right) / 2, (top + bottom) / 2
    radius = (right - left) / 2
    return [float(value) for angle in angles for value in (x + radius * np.cos(angle), y + radius * np.sin(angle))]
