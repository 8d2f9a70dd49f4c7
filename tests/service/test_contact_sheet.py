"""The pictures of a job: every variant's ad, or its plan, with what was found, whatever the pictures' shape."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from resources.fonts import installed_fonts
from service.contact_sheet import FinishedVariant, contact_sheet, plan_lines, plan_sheet, verdict_lines
from stages.type.fonts import Fonts
from stages.values import (
    Detections,
    ModelInfo,
    Overlap,
    Plan,
    Proposal,
    Readability,
    Reason,
    Recognition,
    Rect,
    Size,
    Verdict,
)

MODEL = ModelInfo(provider="test", model="test", revision="1")
REGION = Rect(x=0.1, y=0.1, width=0.8, height=0.2)
RED, BLUE = (200, 30, 30), (30, 30, 200)


@pytest.fixture(scope="module")
def fonts() -> Fonts:
    return installed_fonts((Path("/usr/share/fonts"),))


def variant(
    width_px: int = 300, height_px: int = 300, *, reasons: tuple[Reason, ...] = (), cer: float = 0.0
) -> FinishedVariant:
    """A red original and a blue ad."""
    size = Size(width_px=width_px, height_px=height_px)
    original, ad = (np.full((height_px, width_px, 3), color, dtype=np.uint8) for color in (RED, BLUE))
    proposal = Proposal(region=REGION, score=1.0, occlusion=0.0, source="test", words="top band")
    recognition = Recognition(
        recognized_text="커피", confidence=1.0, cer=cer, cer_ignoring_spaces=cer, wer=0.0, edit_distance=1, lines=(),
        reason="", model=MODEL,
    )  # fmt: skip
    readability = Readability(
        contrast_min=7.0, contrast_p1=7.04, contrast_p5=7.1, contrast_median=8.0, measured_fill=(255, 255, 255),
        large_text=True, passes_aa=True, passes_aaa=False, score=1.0, reason="",
    )  # fmt: skip
    return FinishedVariant(
        original=original,
        ad=ad,
        detections=Detections(objects=(), size=size, forbidden_share=0.0, model=MODEL),
        plan=Plan(proposals=(proposal,), size=size),
        recognition=recognition,
        readability=readability,
        overlap=Overlap(
            objects=(), max_iou=0.0, max_coverage=0.013, text_on_objects=0.0, overlaps=False, reason=""
        ),
        verdict=Verdict(outcome="warn" if reasons else "pass", reasons=reasons, score=0.9),
    )  # fmt: skip


def places_of(sheet: NDArray[np.uint8], color: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Where this colour stands, shape (height, width)."""
    return np.asarray((sheet == np.array(color)).all(axis=2))


def test_the_ads_stand_side_by_side_and_nothing_of_the_generated_images_is_seen(fonts: Fonts) -> None:
    sheet = contact_sheet([variant()] * 3, fonts)
    columns = places_of(sheet, BLUE).any(axis=0)
    assert (np.diff(np.flatnonzero(columns)) > 1).sum() == 2
    assert not places_of(sheet, RED).any()


def test_the_plans_are_drawn_into_the_generated_images(fonts: Fonts) -> None:
    sheet = plan_sheet([variant()] * 3, fonts)
    columns = places_of(sheet, RED).any(axis=0)
    assert (np.diff(np.flatnonzero(columns)) > 1).sum() == 2
    assert not places_of(sheet, BLUE).any()


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


def test_a_caption_longer_than_its_picture_leaves_the_next_column_alone(fonts: Fonts) -> None:
    long = variant(reasons=(Reason(outcome="warn", english="text covers an object " * 20, korean=""),))
    sheet = contact_sheet([long, variant()], fonts)
    alone = contact_sheet([variant(), variant()], fonts)
    second_px = sheet.shape[1] // 2
    assert np.array_equal(sheet[:, second_px:], alone[:, second_px:])


def test_the_caption_of_an_ad_without_faults_says_what_was_measured() -> None:
    assert verdict_lines(2, variant()) == (
        "Variant 2: pass, score 0.90",
        "contrast 7.0:1, 1.3% of an object covered, read back exactly",
    )
    assert verdict_lines(2, variant(cer=0.25))[1].endswith(", 25% of the characters read wrong")


def test_the_caption_of_an_ad_with_faults_says_each_of_them() -> None:
    reasons = tuple(Reason(outcome="warn", english=words, korean="") for words in ("one thing", "another"))
    assert verdict_lines(1, variant(reasons=reasons)) == ("Variant 1: warn, score 0.90", "one thing; another")


def test_the_caption_of_a_plan_says_what_was_found_and_chosen() -> None:
    assert plan_lines(3, variant()) == ("Variant 3: objects 0, proposals 1", "chosen: top band")
