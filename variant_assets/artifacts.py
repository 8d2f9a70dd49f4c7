"""The pictures of a variant: where they are read from, and where a stage leaves its own."""

from __future__ import annotations

import base64
from typing import Any

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from resources.images import ImageStore, content_name
from resources.postgres.values import Variant
from stages.imaging.pictures import thumbnail
from stages.values import StageError

Image = NDArray[np.uint8]


def generated_image(variant: Variant, images: ImageStore) -> Image:
    """The image ye generated for this variant, never the user's upload."""
    return images.load(_present(variant, variant.image_url, "image (jobs_variants.img_asset_id)"))


def forbidden_mask(variant: Variant, images: ImageStore) -> Image:
    """Shape (height, width); 255 = keep clear."""
    return images.load(_present(variant, variant.forbidden_mask_url, "forbidden mask (yolo_detect)"))[..., 0]


def finished_ad(variant: Variant, images: ImageStore) -> Image:
    return images.load(_present(variant, variant.ad_url, "finished ad (overlay)"))


def store(variant: Variant, images: ImageStore, image: Image, kind: str) -> str:
    """Saves a picture below the variant's tenant and returns its URL. The same picture gets the same URL."""
    return images.save(
        image,
        tenant_id=_present(variant, variant.tenant_id, "tenant (jobs.tenant_id)"),
        kind=kind,
        day=variant.created_at.date(),
        name=content_name(variant.job_variants_id, image),
    )


def thumbnail_metadata(image: Image) -> dict[str, Any]:
    """A thumbnail small enough for the event log, as Dagster metadata."""
    encoded = base64.b64encode(thumbnail(image)).decode()
    return {"picture": dg.MetadataValue.md(f"![picture](data:image/jpeg;base64,{encoded})")}


def _present(variant: Variant, value: str | None, what: str) -> str:
    if not value:
        raise StageError(f"variant {variant.job_variants_id} has no {what}")
    return value
