"""Every kind of defect of the benchmark, on one ad: the verdict has something against each, and nothing otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.creative.defects import complaints
from benchmarks.creative.methods import OURS, Ad, Given, Tools, make_ad
from benchmarks.creative.perturb import DEFECTS, Good, spoil
from benchmarks.creative.run import recogniser, scene, tools
from resources.ocr import Ocr

# With all that a defect may want: two sentences, a price, a share, a phone number, both scripts.
COPY = "Fresh Coffee 오늘 볶은 원두. 아메리카노 3,900원, 10% 할인! 02-1234-5678"


@pytest.fixture(scope="module")
def made() -> tuple[Given, Ad, Tools, Ocr]:
    shown = scene(0)
    given = Given(shown, COPY, tools().vision.analyze(shown.image, COPY), 0)
    return given, make_ad(OURS, given, tools()), tools(), recogniser()


def test_nothing_is_said_against_the_untouched_ad(made: tuple[Given, Ad, Tools, Ocr]) -> None:
    given, ad, its_tools, ocr = made
    assert complaints(given, ad.layout, ad.image, its_tools, ocr) == ()


@pytest.mark.parametrize("kind", DEFECTS)
def test_a_defect_is_seen(kind: str, made: tuple[Given, Ad, Tools, Ocr]) -> None:
    given, ad, its_tools, ocr = made
    bad = spoil(kind, Good(given.scene, ad.layout, ad.image, its_tools.fonts))
    if bad is None:
        assert kind in {"its panel missing in the picture only", "the won sign lost"}
        return
    assert complaints(given, bad.layout, bad.image, its_tools, ocr)


def test_what_changes_nothing_is_no_defect(made: tuple[Given, Ad, Tools, Ocr]) -> None:
    given, ad, its_tools, _ = made
    grey = ad.image.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8)
    assert spoil("red and blue exchanged", Good(given.scene, ad.layout, grey, its_tools.fonts)) is None
