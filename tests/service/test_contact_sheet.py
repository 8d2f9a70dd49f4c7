"""The contact sheet: every variant's pictures and figures on one page, whatever their shape."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from resources.fonts import installed_fonts
from service.contact_sheet import FinishedVariant, contact_sheet, figures
from stages.type.fonts import Fonts
from stages.values import (
    Detections,
    FontFace,
    Layout,
    ModelInfo,
    Overlap,
    Plan,
    Proposal,
    Readability,
    Recognition,
    Rect,
    Size,
    TextLine,
    Verdict,
)

MODEL = ModelInfo(provider="test", model="test", revision="1")
REGION = Rect(x=0.1, y=0.1, width=0.8, height=0.2)
RED, BLUE = (200, 30, 30), (30, 30, 200)


@pytest.fixture(scope="module")
def fonts() -> Fonts:
    return installed_fonts((Path("/usr/share/fonts"),))


def variant(width_px: int = 300, height_px: int = 300, *, passes_aa: bool = True) -> FinishedVariant:
    """A red original and a blue ad."""
    size = Size(width_px=width_px, height_px=height_px)
    original, ad = (np.full((height_px, width_px, 3), color, dtype=np.uint8) for color in (RED, BLUE))
    proposal = Proposal(region=REGION, score=1.0, occlusion=0.0, source="test", words="top band")
    layout = Layout(
        text="커피",
        lines=(TextLine(text="커피", runs=(), ink=REGION),),
        region=REGION,
        ink=REGION,
        face=FontFace(family="NanumSquare", file="NanumSquareB.ttf"),
        font_size_px=64,
        line_height_px=80,
        fill=(255, 255, 255),
        contrast_p1=7.04,
        proposal=0,
        size=size,
    )
    recognition = Recognition(
        recognized_text="커피", confidence=1.0, cer=0.5, cer_ignoring_spaces=0.25, wer=0.0, edit_distance=1, lines=(),
        reason="", model=MODEL,
    )  # fmt: skip
    readability = Readability(
        contrast_min=7.0, contrast_p1=7.04, contrast_p5=7.1, contrast_median=8.0, measured_fill=(255, 255, 255),
        large_text=True, passes_aa=passes_aa, passes_aaa=False, score=1.0, reason="",
    )  # fmt: skip
    return FinishedVariant(
        original=original,
        ad=ad,
        detections=Detections(objects=(), size=size, forbidden_share=0.0, model=MODEL),
        plan=Plan(proposals=(proposal,), size=size),
        layout=layout,
        recognition=recognition,
        readability=readability,
        overlap=Overlap(
            objects=(), max_iou=0.0, max_coverage=0.013, text_on_objects=0.0, overlaps=False, reason=""
        ),
        verdict=Verdict(outcome="warn", reasons=(), score=0.9),
    )  # fmt: skip


def places_of(sheet: NDArray[np.uint8], color: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Where this colour stands, shape (height, width)."""
    return np.asarray((sheet == np.array(color)).all(axis=2))


def test_three_variants_stand_side_by_side_original_above_ad(fonts: Fonts) -> None:
    sheet = contact_sheet([variant()] * 3, fonts)
    originals, ads = (places_of(sheet, color) for color in (RED, BLUE))
    for places in (originals, ads):
        gaps = np.diff(np.flatnonzero(places.any(axis=0))) > 1
        assert gaps.sum() == 2
    assert np.flatnonzero(originals.any(axis=1)).max() < np.flatnonzero(ads.any(axis=1)).min()


@pytest.mark.parametrize(("width_px", "height_px"), [(1080, 1080), (512, 2000), (2000, 512), (60, 40)])
def test_any_shape_of_picture_keeps_its_proportions_and_its_place(fonts: Fonts, width_px: int, height_px: int) -> None:
    sheet = contact_sheet([variant(width_px, height_px)], fonts)
    ad = places_of(sheet, BLUE)
    tall, wide = ad.any(axis=1).sum(), ad.any(axis=0).sum()
    assert wide / tall == pytest.approx(width_px / height_px, rel=0.05)
    assert sheet.shape == contact_sheet([variant()], fonts).shape


def test_the_same_results_become_the_same_sheet(fonts: Fonts) -> None:
    first, second = (contact_sheet([variant()], fonts) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_the_figures_say_what_was_measured() -> None:
    lines = figures(2, variant(passes_aa=False))
    assert lines == [
        "Variant 2: warn, score 0.90",
        "64 px NanumSquare",
        "contrast 7.0:1 at the 1st percentile, fails WCAG AA",
        "objects covered at most 1.3%",
        "read back with CER 0.25",
    ]
