"""Every kind of defect, put into one good ad: the verdict has something against each, and nothing otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from resources.fonts import installed_fonts
from resources.ocr import Ocr
from resources.ocr.embedded import EmbeddedOcr
from resources.settings import Settings
from resources.vlm.measured import MeasuredVision
from stages.overlay import render
from stages.planner import plan
from testing.defects.complaints import complaints
from testing.defects.kinds import KINDS, spoil
from testing.defects.perturb import DrawnAd
from testing.scenes.editions import scene

# With all that a defect may want: two sentences, a price, a share, a phone number, both scripts.
COPY = "Fresh Coffee 오늘 볶은 원두. 아메리카노 3,900원, 10% 할인! 02-1234-5678"


@pytest.fixture(scope="module")
def ocr() -> Ocr:
    return EmbeddedOcr(Settings().tessdata_folders)


@pytest.fixture(scope="module")
def good() -> DrawnAd:
    shown, fonts = scene(0), installed_fonts(Settings().font_folders)
    analysis = MeasuredVision().analyze(shown.image, COPY)
    planned = plan(shown.image, *shown.truth(), analysis, COPY)
    return DrawnAd(shown, *render(shown.image, planned, COPY, fonts, analysis), fonts)


def test_nothing_is_said_against_the_untouched_ad(good: DrawnAd, ocr: Ocr) -> None:
    assert complaints(good, COPY, ocr) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_is_seen(kind: str, good: DrawnAd, ocr: Ocr) -> None:
    bad = spoil(kind, good)
    if bad is None:
        assert kind in {"its panel missing in the picture only", "the won sign lost"}
        return
    assert complaints(bad, COPY, ocr)


def test_what_changes_nothing_is_no_defect(good: DrawnAd) -> None:
    grey = good.image.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)
    assert spoil("red and blue exchanged", good._replace(image=grey)) is None
