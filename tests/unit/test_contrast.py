import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stages.imaging.arrays import Picture
from stages.imaging.blending import blend
from stages.imaging.colour import BLACK, INK, WHITE, choose_colours, weakest_scrim
from stages.imaging.contrast import (
    contrast_ratio,
    first_percentile,
    is_large_text,
    needed,
    relative_luminance,
)
from stages.values import Rgb, Size

channel = st.integers(0, 255)
rgb = st.tuples(channel, channel, channel)
pixels = hnp.arrays(np.uint8, st.tuples(st.integers(1, 200), st.just(3)))


def hexed(color: str) -> Rgb:
    red, green, blue = bytes.fromhex(color)
    return red, green, blue


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    [
        ("000000", "ffffff", 21.0),
        ("777777", "ffffff", 4.478089),
        ("767676", "ffffff", 4.542225),
        ("949494", "ffffff", 3.033470),
        ("959595", "ffffff", 2.995346),
        ("595959", "ffffff", 7.004729),
        ("5a5a5a", "ffffff", 6.896926),
        ("ff0000", "ffffff", 3.998477),
        ("0000ff", "ffffff", 8.592471),
        ("757575", "000000", 4.557768),
    ],
)
def test_ratios_are_those_of_wcag(first: str, second: str, ratio: float) -> None:
    assert float(contrast_ratio(hexed(first), hexed(second))) == pytest.approx(ratio, abs=1e-6)


def test_a_colour_has_no_contrast_with_itself() -> None:
    assert float(contrast_ratio(BLACK, BLACK)) == 1.0


def test_the_linear_part_of_the_curve_is_used_below_its_threshold() -> None:
    assert float(relative_luminance((10, 10, 10))) == pytest.approx(10 / 255 / 12.92)


@given(rgb, rgb)
def test_contrast_is_symmetric_and_between_1_and_21(a: Rgb, b: Rgb) -> None:
    assert float(contrast_ratio(a, b)) == float(contrast_ratio(b, a))
    assert 1.0 <= float(contrast_ratio(a, b)) <= 21.0


@given(rgb)
def test_on_a_flat_colour_black_or_white_reaches_four_and_a_half(ground: Rgb) -> None:
    assert max(float(contrast_ratio(WHITE, ground)), float(contrast_ratio(BLACK, ground))) >= 4.58


@pytest.mark.parametrize(("opacity", "ratio"), [(0.537, 4.5), (0.42, 3.0), (0.651, 7.0)])
@given(ground=pixels)
def test_white_text_on_a_black_scrim_has_its_proven_contrast_everywhere(
    opacity: float, ratio: float, ground: Picture
) -> None:
    # Half a level of rounding per channel is the only thing that separates pixels from the theorem.
    assert float(contrast_ratio(WHITE, blend(ground, BLACK, opacity)).min()) >= ratio - 0.05


@pytest.mark.parametrize(("opacity", "ratio"), [(0.459, 4.5), (0.353, 3.0), (0.584, 7.0)])
@given(ground=pixels)
def test_black_text_on_a_white_scrim_has_its_proven_contrast_everywhere(
    opacity: float, ratio: float, ground: Picture
) -> None:
    assert float(contrast_ratio(BLACK, blend(ground, WHITE, opacity)).min()) >= ratio - 0.05


def test_a_checkerboard_fails_however_good_its_best_pixel_is() -> None:
    ground = np.repeat(np.array([[[0, 0, 0]], [[255, 255, 255]]], dtype=np.uint8), 50, axis=0).reshape(-1, 3)
    assert float(contrast_ratio(WHITE, ground).max()) == 21.0
    assert first_percentile(WHITE, ground) == 1.0


@given(pixels, rgb, st.sampled_from([3.0, 4.5]))
def test_the_chosen_colours_always_reach_the_ratio(ground: Picture, recommended: Rgb, ratio: float) -> None:
    paint = choose_colours([ground], recommended, ratio)
    shaded = blend(ground, paint.scrim, paint.opacity)
    assert first_percentile(paint.fill, shaded) == paint.contrast_p1 >= ratio


@given(pixels, st.sampled_from([3.0, 4.5]))
def test_a_scrim_is_no_stronger_than_it_must_be(ground: Picture, ratio: float) -> None:
    paint = weakest_scrim([ground], WHITE, BLACK, ratio)
    assert paint is not None
    if paint.opacity > 0:
        weaker = blend(ground, BLACK, paint.opacity - 0.01)
        assert first_percentile(WHITE, weaker) < ratio
    assert paint.opacity <= 0.55


def test_a_recommended_colour_that_passes_is_taken() -> None:
    ground = np.full((50, 3), 20, dtype=np.uint8)
    assert choose_colours([ground], (255, 220, 60), 4.5).fill == (255, 220, 60)


def test_a_recommended_colour_that_fails_is_replaced_without_a_scrim_where_one_passes() -> None:
    ground = np.full((50, 3), 235, dtype=np.uint8)
    paint = choose_colours([ground], (255, 255, 255), 4.5)
    assert (paint.fill, paint.opacity) == (INK, 0.0)


def test_each_line_counts_for_itself() -> None:
    dark, light = np.full((990, 3), 10, dtype=np.uint8), np.full((9, 3), 250, dtype=np.uint8)
    assert first_percentile(WHITE, np.concatenate([dark, light])) > 4.5
    assert choose_colours([dark, light], WHITE, 4.5).opacity > 0


@pytest.mark.parametrize(
    ("font_size_px", "bold", "width_px", "large"),
    [
        (24, False, 390, True),
        (23, False, 390, False),
        (19, True, 390, True),
        (18, True, 390, False),
        (66, False, 1080, False),
        (67, False, 1080, True),
        (52, True, 1080, True),
        (51, True, 1080, False),
    ],
)
def test_text_is_large_by_the_size_at_which_it_is_seen(
    font_size_px: int, bold: bool, width_px: int, large: bool
) -> None:
    assert is_large_text(font_size_px, bold, Size(width_px=width_px, height_px=500)) is large


def test_large_text_needs_less() -> None:
    assert (needed(False), needed(True)) == ((4.5, 7.0), (3.0, 4.5))
