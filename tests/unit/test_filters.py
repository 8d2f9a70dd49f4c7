"""Sums, means and slopes over maps and sets of pixels, against what counting them one by one gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.imaging.arrays import Bits, Floats
from stages.imaging.filters import box_mean, gradient
from stages.imaging.integral import integral, window_sums
from stages.imaging.morphology import bounds, grow, ring, widen
from stages.imaging.spectral import spectral_residual

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.tuples(st.integers(3, 14), st.integers(3, 14))


def numbers(shape: tuple[int, int], seed: int) -> Floats:
    return np.random.default_rng(seed).normal(size=shape)


def some_bits(shape: tuple[int, int], seed: int, share: float = 0.1) -> Bits:
    return np.asarray(np.random.default_rng(seed).random(shape) < share)


@given(SHAPES, SEEDS, st.integers(1, 3), st.integers(1, 3))
def test_window_sums_are_the_sums_of_the_windows(shape: tuple[int, int], seed: int, height: int, width: int) -> None:
    values = numbers(shape, seed)
    windows = np.lib.stride_tricks.sliding_window_view(values, (height, width))
    assert window_sums(integral(values), height, width) == pytest.approx(windows.sum(axis=(2, 3)))


@given(SHAPES, SEEDS, st.integers(0, 2))
def test_the_mean_of_a_box_is_that_of_its_neighbours(shape: tuple[int, int], seed: int, radius: int) -> None:
    values = numbers(shape, seed)
    found = box_mean(values, radius)
    assert found.shape == shape
    row, column = shape[0] // 2, shape[1] // 2
    around = np.pad(values, radius, mode="symmetric")[row : row + 2 * radius + 1, column : column + 2 * radius + 1]
    assert found[row, column] == pytest.approx(around.mean())


@given(SHAPES, st.floats(-5, 5), st.floats(-5, 5))
def test_the_gradient_of_a_slope_is_as_steep_as_the_slope_in_any_direction(
    shape: tuple[int, int], across: float, down: float
) -> None:
    """√((Gx² + Gy²) / 2) with kernels that weigh 8 over two px, here divided by 4: √2 times the slope."""
    ys, xs = np.mgrid[: shape[0], : shape[1]]
    inner = gradient(across * xs + down * ys)[1:-1, 1:-1]
    assert inner == pytest.approx(np.full(inner.shape, np.hypot(across, down) * np.sqrt(2)), abs=1e-9)


def test_the_middle_row_of_a_gradient_weighs_twice() -> None:
    spot = np.zeros((5, 5))
    spot[2, 2] = 1.0
    found = gradient(spot)
    assert found[2, 1] == found[2, 3] == found[1, 2] == found[3, 2] == pytest.approx(np.sqrt(2**2 / 2) / 4)
    assert found[1, 1] == found[3, 3] == pytest.approx(np.sqrt((1 + 1) / 2) / 4)
    assert found[2, 2] == 0.0


@given(SHAPES, SEEDS)
def test_bounds_hold_all_set_pixels_and_touch_one_on_each_side(shape: tuple[int, int], seed: int) -> None:
    bits = some_bits(shape, seed)
    found = bounds(bits)
    if found is None:
        assert not bits.any()
        return
    left, top, right, bottom = found
    inside = bits[top:bottom, left:right]
    assert inside.sum() == bits.sum()
    assert all(side.any() for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


@settings(max_examples=60)
@given(SHAPES, SEEDS, st.integers(0, 4))
def test_a_set_grows_by_a_disc_and_widens_by_a_square(shape: tuple[int, int], seed: int, radius: int) -> None:
    bits = some_bits(shape, seed)
    ys, xs = np.nonzero(bits)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    down, across = np.abs(rows[..., None] - ys), np.abs(columns[..., None] - xs)
    near = (down**2 + across**2 <= radius**2).any(axis=-1)
    assert (grow(bits, radius) == near).all()
    assert (ring(bits, radius) == (near & ~bits)).all()
    assert (widen(bits, radius) == (np.maximum(down, across) <= radius).any(axis=-1)).all()


@given(SHAPES, SEEDS)
def test_a_spectrum_like_its_own_neighbourhood_leaves_only_phases(shape: tuple[int, int], seed: int) -> None:
    """All amplitudes become 1, and by Parseval's theorem the squares then sum to 1."""
    assert spectral_residual(numbers(shape, seed), lambda spectrum: spectrum, 1e-12).sum() == pytest.approx(1.0)
