"""People, found by their faces, from the head to the waist. Often they are not salient enough to be found otherwise."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.imaging.arrays import Picture
from stages.imaging.geometry import Corners
from stages.imaging.resizing import scaled_size

SIDE_PX = 256
SCALE_STEP = 1.15
NEIGHBOURS = 6  # agreeing windows; with fewer, wood and foliage are taken for faces
LEAST_SIDE = 0.08  # of the picture's longer side
HAIR_AND_CHIN = 0.2  # of the face's side, which the cascade leaves out
SHOULDERS = 2.8  # of the face's side, from one to the other
WAIST = 3.2  # of the face's side, below the chin
_IN_USE = threading.Lock()


def load() -> None:
    """Loads the cascade, once per process."""
    _cascade()


def find_people(image: Picture) -> list[Corners]:
    """(left, top, right, bottom) in px of the people who face the viewer in an RGB picture (height, width, 3).

    Faces are found by OpenCV's cascade. A box has the head and, within the picture, the body down to the waist.
    """
    import cv2

    height, width = image.shape[:2]
    scale = SIDE_PX / max(height, width)
    small = cv2.resize(image, scaled_size(image, SIDE_PX), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    least = round(LEAST_SIDE * SIDE_PX)
    with _IN_USE:  # a cascade holds the picture that it works on
        found = _cascade().detectMultiScale(grey, SCALE_STEP, NEIGHBOURS, minSize=(least, least))
    return [_person(face, scale, width, height) for face in found]


def _person(face: NDArray[np.int32], scale: float, width: int, height: int) -> Corners:
    x, y, side = (float(value) / scale for value in face[:3])
    beside = (SHOULDERS - 1) / 2 * side
    right, bottom = min(width, round(x + side + beside)), min(height, round(y + (1 + WAIST) * side))
    return max(0, round(x - beside)), max(0, round(y - HAIR_AND_CHIN * side)), right, bottom


@cache
def _cascade() -> Any:
    import cv2

    path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"
    cascade = cv2.CascadeClassifier(str(path))
    if cascade.empty():
        raise FileNotFoundError(f"OpenCV's face cascade is not at {path}; install opencv-contrib-python 4, not 5")
    return cascade
