"""What goes to a vision model: the copy, which must exist, and the picture in a size models take."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow

from stages.imaging.arrays import Picture
from stages.values import StageError

MODEL_LONG_SIDE_PX = 1024


def require_copy(copy: str | None, job_id: str) -> str:
    """The copy without white space around it; StageError when the job has none, or only white space."""
    text = (copy or "").strip()
    if not text:
        raise StageError(
            f"no ad copy for job {job_id}: write it to txt_ad_copy_generations (status done) or job_inputs, "
            "then run the variant again"
        )
    return text


def for_model(image: Picture, long_side_px: int = MODEL_LONG_SIDE_PX) -> Picture:
    """The picture, (height, width, 3) uint8 RGB, its longer side at most `long_side_px`; never enlarged."""
    height, width = image.shape[:2]
    scale = long_side_px / max(height, width)
    if scale >= 1.0:
        return image
    smaller = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Pillow.fromarray(image).resize(smaller, Pillow.Resampling.LANCZOS))
