"""The spectral residual (Hou & Zhang, "Saliency Detection: A Spectral Residual Approach", CVPR 2007)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def spectral_residual(
    grey: NDArray[Any], local_mean: Callable[[NDArray[Any]], NDArray[Any]], floor: float
) -> NDArray[Any]:
    """How unexpected each pixel is, not scaled: what the log spectrum has beyond its local mean, back in the plane.

    Shape (height, width), in the precision of `grey`. `local_mean` is the 3 × 3 mean of the log spectrum; `floor` is
    added to the amplitudes, which may be 0.
    """
    spectrum = np.fft.fft2(grey)
    log_amplitude = np.log(np.abs(spectrum) + floor)
    residual = log_amplitude - local_mean(log_amplitude)
    return np.asarray(np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2)
