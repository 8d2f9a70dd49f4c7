"""Faces, which differ too little from what is around them to stand out, and which text must never cover."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Corners = tuple[int, int, int, int]  # left, top, right, bottom

SIDE_PX = 256
SCALE_STEP = 1.15
NEIGHBOURS = 6  # agreeing windows; with fewer, wood and foliage are taken for faces
LEAST_SIDE = 0.08  # of the picture's longer side
HAIR_AND_CHIN = 0.2  # of the face's side, which the cascade leaves out
_LOOKING = threading.Lock()


def load() -> None:
    """The cascade, once per process."""
    _cascade()


def find_faces(image: Picture) -> list[Corners]:
    """Corners in px of the frontal faces in an RGB picture (height, width, 3), by OpenCV's own cascade."""
    import cv2

    height, width = image.shape[:2]
    scale = SIDE_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    least = round(LEAST_SIDE * SIDE_PX)
    with _LOOKING:  # a cascade keeps the picture it looks at
        found = _cascade().detectMultiScale(grey, SCALE_STEP, NEIGHBOURS, minSize=(least, least))
    return [_whole_head(face, scale, width, height) for face in found]


def _whole_head(face: NDArray[np.int32], scale: float, width: int, height: int) -> Corners:
    x, y, side = (float(value) / scale for value in face[:3])
    more = HAIR_AND_CHIN * side
    right, bottom = min(width, round(x + side + more)), min(height, round(y + side + more))
    return max(0, round(x - more)), max(0, round(y - more)), right, bottom


@cache
def _cascade() -> Any:
    import cv2

    path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"
    cascade = cv2.CascadeClassifier(str(path))
    if cascade.empty():
        raise FileNotFoundError(f"OpenCV's face cascade is not at {path}; install opencv-contrib-python 4, not 5")
    return cascade
