"""Pictures in another size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.imaging.geometry import size_of
from stages.imaging.resizing import area_means, for_model, scaled, scaled_size, shrunk
from testing.pictures import checkerboard, flat


def test_pictures_for_a_model_are_reduced_never_enlarged() -> None:
    assert for_model(flat(4000, 1000)).shape == (256, 1024, 3)
    small = flat(300, 200)
    assert for_model(small) is small
    assert size_of(for_model(flat(2000, 2000), 640)).width_px == 640


def test_pictures_to_measure_are_reduced_never_enlarged() -> None:
    assert shrunk(flat(800, 400), 200).shape == (100, 200, 3)
    small = flat(200, 150)
    assert shrunk(small, 200) is small


def test_the_short_side_of_a_long_strip_keeps_some_pixels() -> None:
    assert shrunk(flat(4000, 10), 256).shape == (8, 256, 3)
    assert for_model(flat(4000, 10), 100).shape == (1, 100, 3)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(8, 1024))
def test_the_longer_side_gets_exactly_the_wanted_length(width: int, height: int, long_side_px: int) -> None:
    size = scaled_size(np.broadcast_to(np.uint8(0), (height, width, 3)), long_side_px)
    assert max(size) == long_side_px
    assert min(size) == max(1, round(min(width, height) * (long_side_px / max(width, height))))


@pytest.mark.parametrize("side_px", [40, 640])
def test_a_picture_is_scaled_to_a_size_from_above_and_below(side_px: int) -> None:
    assert scaled(flat(side_px, side_px), 160, 1).shape == (160, 160, 3)


def test_each_pixel_of_a_reduced_picture_is_the_mean_of_its_area() -> None:
    picture = checkerboard(64, 64, cell_px=2)
    assert np.unique(area_means(picture, 16, 16)).tolist() == [round(float(picture.mean()))]
