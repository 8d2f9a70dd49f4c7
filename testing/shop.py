"""Acts as the other parts in tests: a tenant's jobs, their variants, and what js and ye do with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine, text

from resources.postgres.database import Database
from resources.postgres.values import StageOutput
from stages.pipeline import STAGE_NAMES
from stages.values import ModelInfo, Rect, Size, Value


class AnyResult(Value):
    """Enough of a result for every save query."""

    note: str = "result"
    objects: tuple[Rect, ...] = ()
    size: Size = Size(width_px=100, height_px=100)
    model: ModelInfo = ModelInfo(provider="test", model="test", revision="1")
    ink: Rect = Rect(x=0.1, y=0.1, width=0.5, height=0.2)


@dataclass
class Shop:
    engine: Engine

    def job(
        self, *, tenant: str = "cafe", step: str = "vlm_analyze", status: str = "running", copy: str = "커피 한 잔"
    ) -> UUID:
        job = uuid4()
        self.execute("INSERT INTO tenants (tenant_id) VALUES (:t) ON CONFLICT DO NOTHING", t=tenant)
        self.execute(
            "INSERT INTO jobs (job_id, tenant_id, current_step, status) VALUES (:j, :t, :step, :status)",
            j=job, t=tenant, step=step, status=status,
        )  # fmt: skip
        self.execute(
            "INSERT INTO job_inputs (job_id, desc_kor, desc_eng) VALUES (:j, :c, 'A cup of coffee')", j=job, c=copy
        )
        return job

    def variant(
        self, job: UUID, *, step: str = "img_gen", status: str = "done", image_url: str = "/assets/x.png"
    ) -> UUID:
        variant, image = uuid4(), uuid4()
        self.execute(
            "INSERT INTO image_assets (image_asset_id, image_type, image_url, tenant_id, job_id)"
            " SELECT :i, 'generated', :url, tenant_id, job_id FROM jobs WHERE job_id = :j",
            i=image, url=image_url, j=job,
        )  # fmt: skip
        self.execute(
            "INSERT INTO jobs_variants (job_variants_id, job_id, img_asset_id, creation_order, current_step, status)"
            " VALUES (:v, :j, :i, (SELECT count(*) + 1 FROM jobs_variants WHERE job_id = :j), :step, :status)",
            v=variant, j=job, i=image, step=step, status=status,
        )  # fmt: skip
        return variant

    def set_state(self, variant: UUID, step: str, status: str) -> None:
        self.execute(
            "UPDATE jobs_variants SET current_step = :step, status = :status WHERE job_variants_id = :v",
            v=variant, step=step, status=status,
        )  # fmt: skip

    def state_of(self, variant: UUID) -> tuple[str, str]:
        row = self.row("SELECT current_step, status FROM jobs_variants WHERE job_variants_id = :v", v=variant)
        return row[0], row[1]

    def error(self, variant: UUID) -> str | None:
        error: str | None = self.row("SELECT error FROM jobs_variants WHERE job_variants_id = :v", v=variant)[0]
        return error

    def job_state(self, job: UUID) -> tuple[str, str]:
        row = self.row("SELECT current_step, status FROM jobs WHERE job_id = :j", j=job)
        return row[0], row[1]

    def execute(self, statement: str, **parameters: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), parameters)

    def table(self, statement: str, **parameters: Any) -> dict[str, Any]:
        """Two columns as a dictionary."""
        with self.engine.begin() as connection:
            return {row[0]: row[1] for row in connection.execute(text(statement), parameters)}

    def row(self, statement: str, **parameters: Any) -> Any:
        with self.engine.begin() as connection:
            return connection.execute(text(statement), parameters).one()


def work_through(
    db: Database, variant: UUID, run: str, *, first: str = STAGE_NAMES[0], last: str = STAGE_NAMES[-1]
) -> None:
    """What a run does to the database, from one stage to another, with results of no meaning."""
    for stage in STAGE_NAMES[STAGE_NAMES.index(first) : STAGE_NAMES.index(last) + 1]:
        assert db.claims.begin(variant, stage, run) is None
        db.claims.finish(db.claims.load(variant), stage, run, output(stage))


def output(stage: str) -> StageOutput:
    url = f"/assets/yh/{stage}.png" if stage in ("yolo_detect", "planner", "overlay") else None
    return StageOutput(AnyResult(), latency_ms=1.0, artifact_url=url)
