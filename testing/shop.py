"""The shop of the tests: jobs and variants in any state, and what became of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from resources.postgres.database import Database
from resources.postgres.values import StageOutput
from service import shop
from stages.pipeline import STAGE_NAMES
from stages.values import ModelInfo, Rect, Size, Value


class AnyResult(Value):
    """Enough of a result for every save query."""

    note: str = "result"
    objects: tuple[Rect, ...] = ()
    size: Size = Size(width_px=100, height_px=100)
    model: ModelInfo = ModelInfo(provider="test", model="test", revision="1")
    ink: Rect = Rect(x=0.1, y=0.1, width=0.5, height=0.2)


class Shop(shop.Shop):
    def job(
        self, *, tenant: str = "cafe", step: str = "vlm_analyze", status: str = "running", copy: str = "커피 한 잔"
    ) -> UUID:
        """A job, handed over unless `step` and `status` say otherwise."""
        self.add_tenant(tenant)
        [job] = self.order(tenant=tenant, korean=copy, english="A cup of coffee", step=step, status=status)
        return job

    def variant(
        self, job: UUID, *, step: str = "img_gen", status: str = "done", image_url: str = "/assets/x.png"
    ) -> UUID:
        """A variant, its image done unless `step` and `status` say otherwise."""
        [variant] = self.add_variants(job, [self.add_image(image_url, job=job)], step=step, status=status)
        return variant

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
