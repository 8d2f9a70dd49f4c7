"""Acts as the two other teams: js orders jobs and writes their copy, ye generates images and hands the jobs over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine

from resources.postgres.queries import load
from stages.values import Size

_STATEMENTS = Path(__file__).with_name("shop.sql")


@dataclass
class Shop:
    """What js and ye write into the shared tables. Each method commits before it returns."""

    engine: Engine

    def add_tenant(self, tenant: str, name: str | None = None) -> None:
        """js: a shop; one that is known already stays as it is."""
        self._do("add_tenant", tenant=tenant, name=name)

    def order(
        self,
        jobs: int = 1,
        *,
        tenant: str,
        korean: str,
        english: str,
        step: str = "img_gen",
        status: str = "running",
    ) -> list[UUID]:
        """js: so many jobs of a known tenant, each with what the shop wrote. All in one transaction."""
        statements = load(_STATEMENTS)
        with self.engine.begin() as connection:
            added = connection.execute(
                statements["add_jobs"], {"tenant": tenant, "step": step, "status": status, "jobs": jobs}
            )
            keys = list(added.scalars())
            connection.execute(statements["add_inputs"], {"jobs": keys, "korean": korean, "english": english})
        return keys

    def add_copy(self, job: UUID, *, korean: str, english: str) -> None:
        """js: the finished ad copy."""
        self._do("add_copy", job=job, korean=korean, english=english)

    def add_image(
        self, url: str, *, job: UUID | None = None, tenant: str | None = None, size: Size | None = None
    ) -> UUID:
        """ye: a generated image. Without `tenant` it belongs to the job's."""
        width_px, height_px = (size.width_px, size.height_px) if size else (None, None)
        [image] = self._do("add_image", url=url, job=job, tenant=tenant, width_px=width_px, height_px=height_px)
        return image

    def add_variants(
        self, job: UUID, images: Sequence[UUID], variants: int = 1, *, step: str = "img_gen", status: str = "queued"
    ) -> list[UUID]:
        """ye: so many more variants of a job, in one transaction. They take the images in turn; none is allowed."""
        return self._do("add_variants", job=job, images=list(images), variants=variants, step=step, status=status)

    def set_state(self, variant: UUID, step: str, status: str) -> None:
        """ye, or an operator: the stage a variant is at, and how it stands there."""
        self._do("set_state", variant=variant, step=step, status=status)

    def hand_over(self, job: UUID) -> None:
        """ye: the job is ours from here."""
        self._do("hand_over", job=job)

    def _do(self, query: str, **parameters: Any) -> list[UUID]:
        """Runs one statement of shop.sql in its own transaction; returns the keys of the rows it added."""
        with self.engine.begin() as connection:
            result = connection.execute(load(_STATEMENTS)[query], parameters)
            return list(result.scalars()) if result.returns_rows else []


def image_url(tenant: str) -> str:
    """A new URL where ye stores a generated image."""
    return f"/assets/ye/tenants/{tenant}/generated/{datetime.now(UTC):%Y/%m/%d}/{uuid4()}.png"


def store(asset_root: Path, url: str, content: bytes) -> None:
    """ye: writes an image file where the URL says."""
    path = asset_root / url.removeprefix("/assets/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
