"""A picture and what is really in it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stages.imaging.arrays import Bits, Mask, Picture
from stages.values import DetectedObject, Detections, ModelInfo, Rect, Size
from stages.yolo_detect import detections_with_mask

_TRUTH = ModelInfo(provider="testing", model="truth", revision="1")


class TrueObject(NamedTuple):
    """What is really in a picture: `mask` (height, width) where it is exact, else the box is all that is known."""

    label: str
    box: Rect
    mask: Bits | None


class Scene(NamedTuple):
    name: str
    image: Picture
    objects: tuple[TrueObject, ...]

    @property
    def size(self) -> Size:
        return Size(width_px=self.image.shape[1], height_px=self.image.shape[0])

    def true_mask(self) -> Bits:
        """(height, width): the pixels of all true objects, boxes where no mask is known."""
        masks = [object_mask(found, self.size) for found in self.objects]
        return np.asarray(np.logical_or.reduce([self._nothing(), *masks]))

    def truth(self) -> tuple[Detections, Mask]:
        """What a perfect detector would say."""
        objects = [DetectedObject(label=found.label, score=1.0, box=found.box) for found in self.objects]
        return detections_with_mask(objects, self.size, _TRUTH)

    def _nothing(self) -> Bits:
        return np.zeros(self.image.shape[:2], dtype=bool)


def object_mask(found: TrueObject, size: Size) -> Bits:
    if found.mask is not None:
        return found.mask
    left, top, right, bottom = (round(value) for value in found.box.corners_px(size))
    mask = np.zeros((size.height_px, size.width_px), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask
