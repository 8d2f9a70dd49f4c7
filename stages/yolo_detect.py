"""What the text must not cover: the objects that a detector found, and the mask of the pixels to keep clear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.imaging.arrays import Bits, Mask
from stages.imaging.geometry import outer_corners
from stages.imaging.morphology import widen
from stages.values import OBJECT_MARGIN, DetectedObject, Detections, ModelInfo, Rect, Size, StageError


def detections_with_mask(
    found: Sequence[DetectedObject], size: Size, model: ModelInfo, masks: Sequence[Mask] | None = None
) -> tuple[Detections, Mask]:
    """The objects, surest first, and the forbidden mask, (height, width) uint8, 255 = keep clear.

    Boxes are clipped to the picture, and those without area are dropped. `masks`, where the detector gives them, are
    one per object, (height, width), non-zero on the object; they are then kept clear in place of the boxes. Around each
    object OBJECT_MARGIN of the shorter side is kept clear as well. Raises StageError for a mask of another size.
    """
    if masks is not None and len(masks) != len(found):
        raise StageError(f"the detector gave {len(masks)} masks for {len(found)} objects; it must give one for each")
    inside = [(_clipped(item), None if masks is None else masks[i]) for i, item in enumerate(found)]
    kept = sorted((pair for pair in inside if pair[0].box.area > 0), key=lambda pair: _order(pair[0]))
    forbidden = np.zeros((size.height_px, size.width_px), dtype=bool)
    for item, mask in kept:
        _keep_clear(forbidden, item.box, size, mask)
    detections = Detections(
        objects=tuple(item for item, _ in kept),
        size=size,
        forbidden_share=float(forbidden.mean()),
        model=model,
    )
    return detections, np.where(forbidden, 255, 0).astype(np.uint8)


def _clipped(found: DetectedObject) -> DetectedObject:
    box = found.box
    inside = Rect(x=box.x, y=box.y, width=min(box.width, 1.0 - box.x), height=min(box.height, 1.0 - box.y))
    return found.model_copy(update={"box": inside})


def _order(found: DetectedObject) -> tuple[float, str, float, float, float, float]:
    box = found.box
    return -found.score, found.label, box.y, box.x, box.height, box.width


def _keep_clear(forbidden: Bits, box: Rect, size: Size, mask: Mask | None) -> None:
    margin_px = round(OBJECT_MARGIN * min(size.width_px, size.height_px))
    if mask is None:
        left, top, right, bottom = outer_corners(box, size, margin_px)
        forbidden[top:bottom, left:right] = True
        return
    if mask.shape != forbidden.shape:
        raise StageError(f"an object mask has shape {mask.shape}, the picture {forbidden.shape} (height, width)")
    forbidden |= widen(mask > 0, margin_px)
