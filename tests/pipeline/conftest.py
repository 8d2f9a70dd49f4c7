"""Real Dagster, real PostgreSQL, the embedded models; small crops of a real photograph as images."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy import Engine

from resources.images import ImageStore
from stages.pipeline import STAGE_NAMES
from testing.shop import Shop

PHOTO_PX = 480


def photograph(left_px: int = 0, *, size_px: int = PHOTO_PX) -> NDArray[np.uint8]:
    """A square of the coffee photograph, from this column on, shape (size, size, 3)."""
    from skimage import data

    picture = Image.fromarray(data.coffee()[:400, left_px : left_px + 400])
    return np.asarray(picture.resize((size_px, size_px), Image.Resampling.LANCZOS))


@dataclass
class Studio(Shop):
    """A shop whose variants have real images below an asset root."""

    asset_root: Path = field(default_factory=Path)

    def ready_variant(self, job: UUID, image: NDArray[np.uint8] | bytes | None = None, **where: Any) -> UUID:
        """A variant done at img_gen. Bytes go to disk as they are; no image leaves the file away."""
        url = f"/assets/ye/tenants/cafe/generated/2026/01/01/{uuid4()}.png"
        if isinstance(image, np.ndarray):
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "PNG")
            image = buffer.getvalue()
        if image is not None:
            path = self.asset_root / url.removeprefix("/assets/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image)
        return self.variant(job, image_url=url, **where)

    def result(self, variant: UUID, stage: str) -> Any:
        return self.row(
            "SELECT result FROM variant_results WHERE job_variants_id = :v AND stage = :s", v=variant, s=stage
        )[0]

    def load(self, url: str) -> NDArray[np.uint8]:
        return ImageStore(self.asset_root).load(url)


@pytest.fixture
def studio(engine: Engine, tmp_path: Path) -> Studio:
    (tmp_path / "assets").mkdir()
    return Studio(engine, tmp_path / "assets")


@dataclass
class Pipeline:
    """Runs the job in this process, as a run worker does."""

    instance: dg.DagsterInstance
    resources: dict[str, Any]

    def run(
        self, variant: UUID | str, *stages: str, tags: dict[str, str] | None = None, **resources: Any
    ) -> dg.ExecuteInProcessResult:
        """All stages, or the given ones; a resource given by name replaces the real one."""
        from variant_assets.assets import STAGES as ASSETS
        from variant_assets.checks import job_completion
        from variant_assets.job import variant_pipeline
        from variant_assets.partitions import job_variants

        self.instance.add_dynamic_partitions(str(job_variants.name), [str(variant)])
        definitions = dg.Definitions(
            assets=ASSETS,
            asset_checks=[job_completion],
            jobs=[variant_pipeline],
            resources={**self.resources, **resources},
            executor=dg.in_process_executor,
        )
        return definitions.resolve_job_def("variant_pipeline").execute_in_process(
            partition_key=str(variant),
            instance=self.instance,
            asset_selection=[dg.AssetKey(stage) for stage in stages or STAGE_NAMES],
            tags=tags,
            raise_on_error=False,
        )


@pytest.fixture
def pipeline(studio: Studio, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    from resources.wiring import dagster_resources

    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ASSET_ROOT", str(studio.asset_root))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Pipeline(instance, dict(dagster_resources()))


def failure_text(result: dg.ExecuteInProcessResult) -> str:
    """What an operator reads on the failed step."""
    [failed] = result.filter_events(lambda event: event.is_step_failure)
    error = failed.step_failure_data.user_failure_data or failed.step_failure_data.error
    return str(error)
