"""The measured stand-in for a vision-language model."""

import numpy as np
import pytest
from numpy.typing import NDArray

from resources.vlm.measured import MeasuredVision

VISION = MeasuredVision()
NOISE = np.random.default_rng(3).integers(0, 255, (300, 300, 3), dtype=np.uint8)


def flat(value: int) -> NDArray[np.uint8]:
    return np.full((300, 300, 3), value, dtype=np.uint8)


def test_what_needs_a_model_is_left_open_with_the_reason() -> None:
    analysis = VISION.analyze(NOISE, "A cup of coffee")
    assert analysis.is_valid is None
    assert analysis.relevance_score is None
    assert set(analysis.unknown) == {"is_valid", "relevance_score"}
    judgement = VISION.judge(NOISE, "커피", "A cup of coffee")
    opinions = (judgement.on_brief, judgement.occlusion, judgement.contrast_ok, judgement.cta_present)
    assert opinions == (None, None, None, None)
    assert set(judgement.unknown) == {"on_brief", "occlusion", "contrast_ok", "cta_present"}


@pytest.mark.parametrize(
    ("image", "issue"),
    [
        (flat(3), "very dark"),
        (flat(252), "very bright"),
        (flat(120), "almost without contrast"),
        (flat(120), "blurred"),
    ],
)
def test_a_picture_that_is_no_good_is_said_so_with_the_figure(image: NDArray[np.uint8], issue: str) -> None:
    analysis = VISION.analyze(image, "coffee")
    assert analysis.image_quality_ok is False
    assert any(said.startswith(issue) and any(c.isdigit() for c in said) for said in analysis.issues)


def test_a_dark_picture_gets_light_text_and_a_bright_one_dark_text() -> None:
    assert min(VISION.analyze(flat(20), "coffee").font.color) > 150
    assert max(VISION.analyze(flat(240), "coffee").font.color) < 100


def test_long_copy_is_recommended_smaller_than_short_copy() -> None:
    sizes = [VISION.analyze(NOISE, "x" * length).font.size_category for length in (8, 30, 120)]
    assert sizes == ["large", "medium", "small"]


def test_the_same_picture_twice_gives_the_same_analysis() -> None:
    assert VISION.analyze(NOISE, "coffee") == VISION.analyze(NOISE, "coffee")


def test_a_calm_picture_has_more_calm_area_than_a_busy_one() -> None:
    calm, busy = (VISION.analyze(image, "x").measured["calm_share"] for image in (flat(100), NOISE))
    assert calm == 1.0
    assert busy < 0.1
