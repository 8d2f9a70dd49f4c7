"""Pictures with known objects, and the values that go with them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.imaging.arrays import Mask, Picture
from stages.overlay import render
from stages.planner import plan
from stages.type.fonts import Fonts
from stages.values import (
    Analysis,
    DetectedObject,
    Detections,
    FontFace,
    FontRecommendation,
    FontStyle,
    Layout,
    ModelInfo,
    Plan,
    Proposal,
    Rect,
    Rgb,
    Size,
    SizeCategory,
    TextLine,
)
from stages.yolo_detect import detections_with_mask

MODEL = ModelInfo(provider="test", model="known", revision="1")
BANNER = Rect(x=0.1, y=0.05, width=0.8, height=0.18)
SIZE = Size(width_px=100, height_px=100)
COPY = "향긋한 커피 한 잔의 여유, 오늘만 아메리카노 30% 할인!"


def latin_font() -> Path:
    """A font without Hangul that comes with OpenCV."""
    (cv2_folder,) = importlib.util.find_spec("cv2").submodule_search_locations  # type: ignore[union-attr,misc]
    return Path(cv2_folder) / "qt" / "fonts" / "DejaVuSans.ttf"


def analysis(color: Rgb = (255, 255, 255), style: FontStyle = "sans", category: SizeCategory = "large") -> Analysis:
    font = FontRecommendation(style=style, size_category=category, color=color)
    return Analysis(is_valid=None, image_quality_ok=None, relevance_score=None, font=font, text="", model=MODEL)


def flat(width_px: int, height_px: int, color: Rgb = (120, 90, 60)) -> Picture:
    return np.full((height_px, width_px, 3), color, dtype=np.uint8)


def noise(width_px: int, height_px: int, seed: int = 7) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


def checkerboard(width_px: int, height_px: int, cell_px: int = 6) -> Picture:
    ys, xs = np.mgrid[:height_px, :width_px] // cell_px
    return np.repeat(((ys + xs) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)


def size_of(image: Picture) -> Size:
    return Size(width_px=image.shape[1], height_px=image.shape[0])


def thing(x: float, y: float, width: float, height: float, label: str = "cup", score: float = 0.9) -> DetectedObject:
    return DetectedObject(label=label, score=score, box=Rect(x=x, y=y, width=width, height=height))


def found_in(image: Picture, objects: Sequence[DetectedObject] = ()) -> tuple[Detections, Mask]:
    return detections_with_mask(objects, size_of(image), MODEL)


def planned(image: Picture, objects: Sequence[DetectedObject] = (), copy: str = COPY) -> Plan:
    detections, mask = found_in(image, objects)
    return plan(image, detections, mask, analysis(), copy)


def one_region(image: Picture, region: Rect = BANNER, occlusion: float = 0.0) -> Plan:
    proposal = Proposal(region=region, score=1.0, occlusion=occlusion, source="test", words="given")
    return Plan(proposals=(proposal,), needs_panel=occlusion > 0, size=size_of(image))


def banner_ad(image: Picture, copy: str, fonts: Fonts, color: Rgb = (255, 255, 255)) -> tuple[Layout, Picture]:
    return render(image, one_region(image), copy, fonts, analysis(color))


def solid(text: str) -> str:
    return "".join(text.split())


def text_at(*inks: Rect, texts: tuple[str, ...] = ()) -> Layout:
    names = texts or ("가",) * len(inks)
    lines = tuple(TextLine(text=text, runs=(), ink=ink) for text, ink in zip(names, inks, strict=True))
    return Layout(
        text=" ".join(names), lines=lines, region=inks[0], ink=inks[0],
        face=FontFace(family="f", file="f.ttf"), font_size_px=10, line_height_px=12, fill=(0, 0, 0),
        contrast_p1=21.0, proposal=0, size=SIZE,
    )  # fmt: skip
