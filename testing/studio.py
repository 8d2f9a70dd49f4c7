"""A shop whose variants have real images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resources.images import ImageStore, png
from service.shop import image_url, store
from testing.shop import Shop

PHOTO_PX = 480


def photograph(left_px: int = 0, *, size_px: int = PHOTO_PX) -> NDArray[np.uint8]:
    """A square of the coffee photograph, from this column on, shape (size, size, 3)."""
    from skimage import data

    picture = Image.fromarray(data.coffee()[:400, left_px : left_px + 400])
    return np.asarray(picture.resize((size_px, size_px), Image.Resampling.LANCZOS))


def encoded_photograph() -> bytes:
    return png(photograph())


@dataclass
class Studio(Shop):
    """Stores its images below an asset root."""

    asset_root: Path = field(default_factory=Path)

    def ready_variant(self, job: UUID, image: NDArray[np.uint8] | bytes | None = None, **where: Any) -> UUID:
        """A variant done at img_gen. Bytes go to disk as they are; no image leaves the file away."""
        url = image_url(self.row("SELECT tenant_id FROM jobs WHERE job_id = :j", j=job)[0])
        if isinstance(image, np.ndarray):
            image = png(image)
        if image is not None:
            store(self.asset_root, url, image)
        return self.variant(job, image_url=url, **where)

    def result(self, variant: UUID, stage: str) -> Any:
        return self.row(
            "SELECT result FROM variant_results WHERE job_variants_id = :v AND stage = :s", v=variant, s=stage
        )[0]

    def load(self, url: str) -> NDArray[np.uint8]:
        return ImageStore(self.asset_root).load(url)
