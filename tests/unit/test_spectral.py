"""The spectral residual."""

import numpy as np
import pytest

from stages.imaging.arrays import Floats
from stages.imaging.filters import box_mean
from stages.imaging.spectral import spectral_residual


def mean_of_nine(values: Floats) -> Floats:
    return box_mean(values, 1)


def test_what_is_unlike_the_rest_of_the_picture_is_salient() -> None:
    picture = np.random.default_rng(5).normal(0.5, 0.02, (32, 32))
    picture[10:14, 20:24] += 0.4
    saliency = box_mean(spectral_residual(picture, mean_of_nine, 1e-9), 2)
    y, x = np.unravel_index(saliency.argmax(), saliency.shape)
    assert 8 <= y < 16
    assert 18 <= x < 26


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_it_keeps_the_precision_that_it_is_given(precision: str) -> None:
    grey = np.asarray(np.random.default_rng(5).random((16, 16)), dtype=precision)
    assert spectral_residual(grey, lambda values: values * 0, 1e-6).dtype == precision
