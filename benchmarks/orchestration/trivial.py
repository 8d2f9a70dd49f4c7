"""The pipeline with stages that do nothing but read and write the database's state machine, as they all do."""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from benchmarks.orchestration.plain import definitions
from resources.images import ImageStore
from resources.postgres.database import Database
from resources.wiring import StageLimits
from sensors.new_variants import more_new_variants, new_variants
from sensors.rescuer import rescuer
from sensors.throttle import throttle
from stages.imaging.arrays import Picture
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


class NoPictures(ImageStore):
    """Stores nothing and names a picture that nobody reads."""

    def save(self, image: Picture, *, kind: str, **_: Any) -> str:
        return f"/assets/yh/{kind}.png"


_PICTURES = NoPictures(Path())
_LIMITS = StageLimits(stage_deadline_s=60, model_deadline_s=60, stage_memory_mb=0, stages_with_models=[])
_PIXEL = np.zeros((1, 1), np.uint8)


def _stage(name: str, before: str | None) -> Any:
    @dg.asset(name=name, deps=[before] if before else [], **STAGE)
    def stage(context: dg.AssetExecutionContext, db: dg.ResourceParam[Database]) -> dg.MaterializeResult[None]:
        with stage_run(context, db, _PICTURES, _LIMITS) as work:
            work.save(Nothing(), picture=_PIXEL if name in ("yolo_detect", "planner", "overlay") else None)
        return work.materialized()

    return stage


STAGES = tuple(_stage(name, before) for name, before in zip(STAGE_NAMES, (None, *STAGE_NAMES), strict=False))


defs = definitions(STAGES, [new_variants, *more_new_variants, rescuer, throttle])
