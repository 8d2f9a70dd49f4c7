"""The pipeline with stages that do nothing but read and write the database's state machine, as they all do."""

from typing import Any

import dagster as dg

from benchmarks.orchestration.plain import definitions
from resources.postgres.database import Database
from sensors.new_variants import more_new_variants, new_variants
from sensors.rescuer import rescuer
from sensors.throttle import throttle
from stages.pipeline import STAGE_NAMES
from stages.values import ModelInfo, Rect, Size, Value
from variant_assets.assets import STAGE
from variant_assets.figures import Figures, figures
from variant_assets.stage_run import stage_run


class Nothing(Value):
    """As much of a result as the queries that save one read."""

    objects: tuple[Rect, ...] = ()
    size: Size = Size(width_px=100, height_px=100)
    model: ModelInfo = ModelInfo(provider="none", model="none", revision="1")
    ink: Rect = Rect(x=0.1, y=0.1, width=0.5, height=0.2)


@figures.register
def _(value: Nothing) -> Figures:
    return {}


def picture_of(stage: str) -> str | None:
    """The stages that store a picture name one, which nobody reads."""
    return f"/assets/yh/{stage}.png" if stage in ("yolo_detect", "planner", "overlay") else None


def _stage(name: str, before: str | None) -> Any:
    @dg.asset(name=name, deps=[before] if before else [], **STAGE)
    def stage(context: dg.AssetExecutionContext, db: dg.ResourceParam[Database]) -> dg.MaterializeResult[None]:
        with stage_run(context, db) as work:
            work.save(Nothing(), artifact_url=picture_of(name))
        return work.materialized()

    return stage


STAGES = tuple(_stage(name, before) for name, before in zip(STAGE_NAMES, (None, *STAGE_NAMES), strict=False))


defs = definitions(STAGES, [new_variants, *more_new_variants, rescuer, throttle])
