"""Colours of text and scrim: what changes the picture least, and tints of what lies there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.imaging.arrays import Picture
from stages.imaging.colour import BLACK, INK, WHITE, TextColours, choose_colours, tints, weakest_scrim
from stages.values import Rgb
from stages.vlm_analyze import measured_analysis
from testing.pictures import MODEL, checkerboard, flat, noise

channel = st.integers(0, 255)
rgb = st.tuples(channel, channel, channel)


def pixels(*colors: Rgb) -> Picture:
    return np.array(colors, dtype=np.uint8)


def mixed_ground(dark: int, light: int, seed: int) -> Picture:
    """Some of the pixels dark and some light, so that no colour passes alone."""
    random = np.random.default_rng(seed)
    levels = np.where(random.random(60) < 0.5, dark, light)[:, None] + random.integers(-5, 5, (60, 3))
    return np.clip(levels, 0, 255).astype(np.uint8)


@settings(max_examples=60)
@given(rgb, st.integers(0, 60), st.integers(180, 255), st.integers(0, 999))
def test_no_other_pair_of_text_and_scrim_changes_the_picture_less(
    recommended: Rgb, dark: int, light: int, seed: int
) -> None:
    ground = mixed_ground(dark, light, seed)
    found = choose_colours([ground], recommended, 4.5)
    if found.opacity == 0.0:
        return
    mean = ground.mean(axis=0)

    def change(colours: TextColours) -> float:
        """In levels of 255; a recommended colour may cost 12 more."""
        levels = float(np.abs(mean - np.array(colours.scrim)).mean()) * colours.opacity
        return levels - (12.0 if colours.fill == recommended else 0.0)

    dark_tint, light_tint = tints(ground)
    pairs = [(WHITE, dark_tint), (INK, light_tint), (recommended, dark_tint), (recommended, light_tint)]
    possible = [colours for pair in pairs if (colours := weakest_scrim([ground], *pair, 4.5)) is not None]
    assert found in possible
    assert change(found) == min(map(change, possible))


def test_without_a_scrim_the_better_of_white_and_near_black_is_taken_and_black_only_in_need() -> None:
    assert choose_colours([pixels((20, 20, 60))], (30, 30, 30), 4.5).fill == WHITE
    assert choose_colours([pixels((200, 210, 220))], (190, 190, 190), 4.5).fill == INK
    # On this grey near-black misses and black reaches 4.5:1.
    assert choose_colours([pixels((122, 122, 122))], (120, 120, 120), 4.56).fill == BLACK


def test_a_plate_has_at_least_its_opacity_where_less_would_do() -> None:
    dark = pixels((10, 10, 10), (20, 20, 20))
    for least in (0.4, 0.78):
        found = weakest_scrim([dark], WHITE, BLACK, 4.5, least)
        assert found is not None
        assert found.opacity == pytest.approx(least)
        assert choose_colours([dark], WHITE, 4.5, least).opacity == pytest.approx(least)


def test_a_scrim_of_the_colour_of_the_text_is_no_scrim() -> None:
    assert weakest_scrim([pixels((0, 0, 0))], WHITE, (250, 250, 250), 4.5) is None


def test_tints_keep_the_hue_of_the_picture_and_hardly_anything_of_its_light() -> None:
    dark, light = tints(pixels((200, 100, 50), (200, 100, 50)))
    assert dark == (26, 13, 6)
    assert light == (251, 243, 239)
    # A picture darker than the dark tint is left as it is.
    assert tints(pixels((20, 10, 0)))[0] == (20, 10, 0)


@pytest.mark.parametrize(("ground", "color"), [((60, 10, 10), (232, 226, 226)), ((240, 200, 200), (43, 36, 36))])
def test_the_recommended_colour_is_a_light_or_dark_tint_of_the_picture_s_own(ground: Rgb, color: Rgb) -> None:
    assert measured_analysis(flat(300, 300, ground), "커피", MODEL).font.color == color


@pytest.mark.parametrize(("length", "size"), [(16, "large"), (17, "medium"), (48, "medium"), (49, "small")])
def test_longer_copy_is_recommended_smaller_from_its_bound_on(length: int, size: str) -> None:
    assert measured_analysis(flat(100, 100), "가" * length, MODEL).font.size_category == size


def test_a_crisp_picture_suits_a_plain_face_a_soft_one_a_round_one() -> None:
    assert measured_analysis(checkerboard(300, 300, 2), "커피", MODEL).font.style == "sans"
    assert measured_analysis(flat(300, 300), "커피", MODEL).font.style == "rounded"


def test_only_a_picture_with_little_calm_area_needs_a_panel() -> None:
    assert measured_analysis(noise(300, 300), "커피", MODEL).recommendations == (
        "little calm area: put a panel behind the text",
    )
    assert measured_analysis(flat(300, 300), "커피", MODEL).recommendations == ()
