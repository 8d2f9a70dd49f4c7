"""Panels, pixel by pixel: how strong they are inside, at their edge, in their corners and beyond."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.imaging.arrays import Floats
from stages.imaging.blending import blend, with_panel
from stages.values import Panel, Rect, Size
from testing.pictures import flat

SIZE = Size(width_px=200, height_px=160)
INSIDE = Rect.from_corners_px(60, 50, 140, 110, SIZE)


def strength(**panel: float | Rect) -> Floats:
    """How strong a black panel is at each pixel of a white picture, 0…1."""
    given = {"rect": INSIDE, "color": (0, 0, 0), "opacity": 1.0, **panel}
    return 1.0 - with_panel(flat(200, 160, (255, 255, 255)), Panel.model_validate(given))[..., 0] / 255.0


def test_a_plate_covers_its_rectangle_and_nothing_else() -> None:
    found = strength(opacity=0.6)
    assert found[50:110, 60:140] == pytest.approx(0.6, abs=0.003)
    found[50:110, 60:140] = 0.0
    assert not found.any()


def test_rounded_corners_leave_out_what_a_circle_leaves_of_its_square() -> None:
    left_out = 80 * 60 - strength(radius_px=20.0).sum()
    assert left_out == pytest.approx((4 - np.pi) * 20**2, rel=0.02)


def test_a_radius_larger_than_the_plate_makes_its_short_ends_round() -> None:
    assert strength(radius_px=500.0).sum() == pytest.approx(80 * 60 - (4 - np.pi) * 30**2, rel=0.02)
    high = strength(radius_px=500.0, rect=Rect.from_corners_px(60, 20, 100, 140, SIZE))
    assert high.sum() == pytest.approx(40 * 120 - (4 - np.pi) * 20**2, rel=0.02)


def test_a_plate_is_the_same_from_all_four_sides() -> None:
    found = strength(radius_px=12.0, feather_px=9.0, rect=Rect.from_corners_px(60, 50, 140, 110, SIZE))
    assert found == pytest.approx(found[::-1])
    assert found == pytest.approx(found[:, ::-1])


def test_a_scrim_is_full_at_its_edge_half_in_the_middle_of_its_feather_and_gone_at_its_end() -> None:
    # Pixel centres lie half a pixel beyond the edge.
    beside = strength(feather_px=20.0)[80, 140:162]
    assert beside[0] == pytest.approx(1.0, abs=0.01)
    assert beside[9:11].mean() == pytest.approx(0.5, abs=0.01)
    assert beside[20:].max() == 0.0
    assert (np.diff(beside) <= 0).all()
    # Smoothly at both ends, unlike a straight ramp.
    assert beside[2] > 0.95
    assert beside[17] < 0.05


@given(st.floats(0.0, 1.0), st.integers(0, 255), st.integers(0, 255))
def test_a_colour_over_a_pixel_lies_between_both_at_the_opacity(opacity: float, under: int, over: int) -> None:
    pixel = np.full((1, 3), under, dtype=np.uint8)
    assert blend(pixel, (over, over, over), opacity)[0, 0] == pytest.approx(under + (over - under) * opacity, abs=0.51)
