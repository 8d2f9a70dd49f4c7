import numpy as np
import pytest

from stages.imaging.arrays import Picture
from stages.imaging.contrast import contrast_ratio
from stages.imaging.morphology import ring
from stages.readability_eval import measure
from stages.type.fonts import Fonts
from stages.type.glyphs import glyph_mask, with_glyphs
from stages.values import (
    Layout,
    Rgb,
    StageError,
)
from testing.pictures import COPY, banner_ad, checkerboard, flat, noise


def recoloured(image: Picture, layout: Layout, fonts: Fonts, color: Rgb) -> Picture:
    return with_glyphs(image, glyph_mask(layout, fonts), color)


def test_black_on_black_is_one_to_one(fonts: Fonts) -> None:
    black = flat(600, 600, (0, 0, 0))
    layout, _ = banner_ad(black, COPY, fonts)
    result = measure(black, recoloured(black, layout, fonts, (0, 0, 0)), layout, fonts)
    assert (result.contrast_min, result.contrast_p1, result.contrast_median, result.score) == (1, 1, 1, 0)
    assert not result.passes_aa
    assert "misses" in result.reason


def test_the_drawn_colour_is_measured_not_the_declared_one(fonts: Fonts) -> None:
    ground = flat(600, 600, (255, 255, 255))
    layout, ad = banner_ad(ground, COPY, fonts)
    lying = layout.model_copy(update={"fill": (1, 2, 3)})
    assert measure(ground, ad, lying, fonts).measured_fill == layout.fill
    grey = recoloured(ground, layout, fonts, (119, 119, 119))
    assert measure(ground, grey, layout, fonts).contrast_p1 == pytest.approx(4.478089, abs=1e-6)


def test_white_on_black_is_all_a_picture_can_have(fonts: Fonts) -> None:
    ground = flat(600, 600, (0, 0, 0))
    layout, ad = banner_ad(ground, COPY, fonts)
    result = measure(ground, ad, layout, fonts)
    assert result.contrast_min == pytest.approx(21.0)
    assert (result.passes_aaa, result.score) == (True, 1.0)


def test_white_text_on_a_checkerboard_fails(fonts: Fonts) -> None:
    ground = checkerboard(600, 600)
    layout, _ = banner_ad(flat(600, 600, (0, 0, 0)), COPY, fonts)
    result = measure(ground, recoloured(ground, layout, fonts, (255, 255, 255)), layout, fonts)
    assert result.contrast_p5 == 1.0
    assert not result.passes_aa


def test_one_faint_line_among_good_ones_fails_and_is_named(fonts: Fonts) -> None:
    ground = flat(600, 600, (255, 255, 255))
    layout, ad = banner_ad(ground, "매일 아침 갓 구운 빵과 함께하는 특별한 하루를 지금 시작해 보세요", fonts)
    assert len(layout.lines) > 1
    faint = layout.model_copy(update={"lines": layout.lines[:1]})
    result = measure(ground, with_glyphs(ad, glyph_mask(faint, fonts), (200, 200, 200)), layout, fonts)
    assert not result.passes_aa
    assert layout.lines[0].text in result.reason


def test_a_panel_that_was_not_drawn_is_noticed(fonts: Fonts) -> None:
    ground = checkerboard(600, 600)
    layout, ad = banner_ad(ground, COPY, fonts)
    assert measure(ground, ad, layout, fonts).passes_aa
    assert not measure(ground, recoloured(ground, layout, fonts, layout.fill), layout, fonts).passes_aa


def test_the_figures_are_ordered(fonts: Fonts) -> None:
    ground = noise(600, 600)
    layout, ad = banner_ad(ground, COPY, fonts)
    result = measure(ground, ad, layout, fonts)
    assert 1 <= result.contrast_min <= result.contrast_p1 <= result.contrast_p5 <= result.contrast_median <= 21


def test_a_picture_of_another_size_is_refused(fonts: Fonts) -> None:
    layout, ad = banner_ad(flat(600, 600), COPY, fonts)
    with pytest.raises(StageError, match="run overlay again"):
        measure(flat(500, 600), ad, layout, fonts)


def test_the_ring_is_next_to_the_glyph_and_three_pixels_wide() -> None:
    dot = np.zeros((11, 11), dtype=bool)
    dot[5, 5] = True
    found = ring(dot, 3)
    ys, xs = np.nonzero(found)
    assert not found[5, 5]
    assert np.hypot(ys - 5, xs - 5).max() == 3.0
    assert found.sum() == 28


def test_a_single_bad_pixel_counts_in_the_minimum() -> None:
    assert float(contrast_ratio((255, 255, 255), [[0, 0, 0], [255, 255, 255]]).min()) == 1.0
