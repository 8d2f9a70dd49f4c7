"""The kinds of arrays that the stages pass on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""

Mask = NDArray[np.uint8]
"""Shape (height, width), 0…255."""

Bits = NDArray[np.bool_]
"""A set of pixels or cells, shape (height, width)."""

Floats = NDArray[np.float64]

Floats32 = NDArray[np.float32]
"""What OpenCV computes with."""

Indices = NDArray[np.intp]
