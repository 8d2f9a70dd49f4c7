"""What a stage of one variant is given: its pictures, its copy, earlier results. And where it leaves its own result."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import dagster as dg

from resources.images import ImageStore, content_name, tenant_folder, tenant_of
from resources.postgres.values import StageOutput, Variant
from resources.store_trouble import StoreTroubleError
from stages.imaging.arrays import Mask, Picture
from stages.imaging.thumbnail import thumbnail
from stages.pipeline import STAGES
from stages.type.ad_copy import LONGEST_BRIEF, LONGEST_COPY, require_copy, require_length
from stages.values import StageError, Value, Verdict
from stages.wording import shown
from variant_assets.figures import figures

V = TypeVar("V", bound=Value)

_STAGE_OF = {stage.result: stage.name for stage in STAGES}
_FOLDERS = {"yolo_detect": "mask", "planner": "plan", "overlay": "final"}
"""Where the stages that leave a picture store it, below the tenant's folder."""


class StageWork:
    """One stage at work on one variant. Pictures are read when they are first asked for."""

    def __init__(
        self, variant: Variant, stage: str, images: ImageStore, describe: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self.variant = variant
        self._stage = stage
        self._images = images
        self._describe = describe
        self._saved: StageOutput | None = None
        self._metadata: dict[str, Any] = {}
        self._started_s = time.monotonic()

    @cached_property
    def image(self) -> Picture:
        """The image that ye generated for this variant, never the user's upload; (height, width, 3), read-only.

        Raises StageError when it is not an image of the job's tenant.
        """
        url = self._of_tenant(self.variant.image_url, "image (jobs_variants.img_asset_id)")
        if self.variant.image_tenant_id != self._tenant:
            raise StageError(
                f"the image of variant {self.variant.job_variants_id} belongs to tenant"
                f" {shown(self.variant.image_tenant_id)}, its job to {shown(self._tenant)}; correct"
                " image_assets.tenant_id or jobs_variants.img_asset_id"
            )
        return self._images.load(url)

    @cached_property
    def forbidden_mask(self) -> Mask:
        """Shape (height, width), read-only; 255 = keep clear."""
        return self._images.load_mask(self._of_tenant(self.variant.forbidden_mask_url, "forbidden mask (yolo_detect)"))

    @cached_property
    def ad(self) -> Picture:
        """The finished ad; (height, width, 3), read-only."""
        return self._images.load(self._of_tenant(self.variant.ad_url, "finished ad (overlay)"))

    @property
    def copy(self) -> str:
        """The Korean copy, which is drawn. Raises StageError when the job has none."""
        return require_copy(self.variant.copy_kor, str(self.variant.job_id))

    @property
    def copy_for_model(self) -> str:
        """The English copy, else the Korean one.

        Raises StageError when the job has neither, and when any text that a later stage needs is too long.
        """
        job = str(self.variant.job_id)
        require_length(self.variant.copy_kor or "", LONGEST_COPY, "ad copy", job)
        require_length(self.variant.brief or "", LONGEST_BRIEF, "brief", job)
        return require_copy(self.variant.copy_eng or self.variant.copy_kor, job)

    @property
    def brief(self) -> str:
        """What the ad is for; the copy where nobody wrote a brief."""
        brief = self.variant.brief or self.copy
        require_length(brief, LONGEST_BRIEF, "brief", str(self.variant.job_id))
        return brief

    def result(self, kind: type[V]) -> V:
        """The current result of this type, from the stage that makes it."""
        return self.variant.result(_STAGE_OF[kind], kind)

    def save(
        self,
        value: Value,
        *,
        picture: Picture | Mask | None = None,
        request: Mapping[str, Any] | None = None,
        verdict: Verdict | None = None,
    ) -> None:
        """The stage's result, and the picture it made. They are committed, with `done`, after the `with` block.

        `request` is the trace of what was asked of a model. A picture is stored here and, unless it is a mask, shown as
        a thumbnail beside the figures.
        """
        shown = {} if picture is None or picture.ndim == 2 else thumbnail_metadata(picture)
        url = None if picture is None else self._store(picture)
        latency_ms = (time.monotonic() - self._started_s) * 1000
        self._saved = StageOutput(value, latency_ms, url, dict(request or {}), verdict)
        of_verdict = figures(verdict) if verdict is not None else {}
        self._metadata = {**of_verdict, **figures(value), "latency_ms": round(latency_ms, 1), **shown}

    @property
    def output(self) -> StageOutput:
        if self._saved is None:
            raise RuntimeError("the stage ended without saving a result")
        return self._saved

    def materialized(self) -> dg.MaterializeResult[None]:
        # As metadata of the result Dagster would store the figures and the thumbnail twice.
        self._describe(self._metadata)
        return dg.MaterializeResult()

    def _store(self, picture: Picture | Mask) -> str:
        """The URL of the stored picture. The same picture of the same variant gets the same URL."""
        if (trouble := self._images.trouble()) is not None:
            # Nothing is written into the empty folder below a mount point.
            raise StoreTroubleError(trouble)
        return self._images.save(
            picture,
            tenant_id=self._tenant,
            kind=_FOLDERS[self._stage],
            day=self.variant.created_at.date(),
            name=content_name(self.variant.job_variants_id, picture),
        )

    @property
    def _tenant(self) -> str:
        return self._present(self.variant.tenant_id, "tenant (jobs.tenant_id)")

    def _of_tenant(self, url: str | None, what: str) -> str:
        """The URL of a picture, which must lie in the folder of the job's tenant."""
        url = self._present(url, what)
        if tenant_of(url) != self._tenant:
            raise StageError(
                f"the {what} of variant {self.variant.job_variants_id} is image_url {shown(url)}, which is not in the"
                f" folder of its job's tenant {shown(self._tenant)}; it must be {tenant_folder('part', self._tenant)}…"
            )
        return url

    def _present(self, value: str | None, what: str) -> str:
        if not value:
            raise StageError(f"variant {self.variant.job_variants_id} has no {what}")
        return value


def thumbnail_metadata(image: Picture) -> dict[str, Any]:
    """A thumbnail small enough for the event log, as Dagster metadata."""
    encoded = base64.b64encode(thumbnail(image)).decode()
    return {"picture": dg.MetadataValue.md(f"![picture](data:image/webp;base64,{encoded})")}
