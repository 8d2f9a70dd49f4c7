"""Analyses: measured without a model, and made of a model's answer."""

import numpy as np
import pytest

from stages.imaging.arrays import Picture
from stages.values import Analysis
from stages.vlm_analyze import AnalysisAnswer, measured_analysis
from testing.models.answers import ANALYSIS
from testing.pictures import MODEL

NOISE = np.random.default_rng(3).integers(0, 255, (300, 300, 3), dtype=np.uint8)


def flat(value: int) -> Picture:
    return np.full((300, 300, 3), value, dtype=np.uint8)


def analyzed(image: Picture, copy: str = "coffee") -> Analysis:
    return measured_analysis(image, copy, MODEL)


def test_what_needs_a_model_is_left_open_with_the_reason() -> None:
    analysis = analyzed(NOISE)
    assert analysis.is_valid is None
    assert analysis.relevance_score is None
    assert set(analysis.unknown) == {"is_valid", "relevance_score"}
    assert analysis.model == MODEL


@pytest.mark.parametrize(
    ("image", "issue"),
    [
        (flat(3), "very dark"),
        (flat(252), "very bright"),
        (flat(120), "almost without contrast"),
        (flat(120), "blurred"),
    ],
)
def test_a_picture_that_is_no_good_is_said_so_with_the_figure(image: Picture, issue: str) -> None:
    analysis = analyzed(image)
    assert analysis.image_quality_ok is False
    assert any(said.startswith(issue) and any(c.isdigit() for c in said) for said in analysis.issues)


def test_a_dark_picture_gets_light_text_and_a_bright_one_dark_text() -> None:
    assert min(analyzed(flat(20)).font.color) > 150
    assert max(analyzed(flat(240)).font.color) < 100


def test_long_copy_is_recommended_smaller_than_short_copy() -> None:
    sizes = [analyzed(NOISE, "x" * length).font.size_category for length in (8, 30, 120)]
    assert sizes == ["large", "medium", "small"]


def test_the_same_picture_twice_gives_the_same_analysis() -> None:
    assert analyzed(NOISE) == analyzed(NOISE)


def test_a_calm_picture_has_more_calm_area_than_a_busy_one() -> None:
    calm, busy = (analyzed(image).measured["calm_share"] for image in (flat(100), NOISE))
    assert calm == 1.0
    assert busy < 0.1


def test_an_analysis_has_everything_that_a_model_answers() -> None:
    analysis = AnalysisAnswer.model_validate(ANALYSIS).analysis(MODEL)
    assert (analysis.is_valid, analysis.image_quality_ok, analysis.relevance_score) == (True, True, 0.8)
    assert (analysis.issues, analysis.recommendations, analysis.text) == ((), ("more light",), "a picture")
    assert (analysis.font.style, analysis.font.size_category, analysis.font.color) == (
        "serif",
        "large",
        (255, 238, 221),
    )
    assert (analysis.model, analysis.unknown) == (MODEL, {})
