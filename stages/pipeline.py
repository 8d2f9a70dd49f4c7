"""The eight stages in run order. Everything in Python that needs their order or names reads it here.

SQL keeps the same order in the function variant_steps() of sql/schema.sql, and variant_assets/assets.py has one asset
for each stage. Tests compare the three.
"""

from __future__ import annotations

from dataclasses import dataclass

from stages.values import Analysis, Detections, Judgement, Layout, Overlap, Plan, Readability, Recognition, Value


@dataclass(frozen=True)
class Stage:
    """A stage's name, as in jobs_variants.current_step, and the type of the value that it stores."""

    name: str
    result: type[Value]


STAGES = (
    Stage("vlm_analyze", Analysis),
    Stage("yolo_detect", Detections),
    Stage("planner", Plan),
    Stage("overlay", Layout),
    Stage("vlm_judge", Judgement),
    Stage("ocr_eval", Recognition),
    Stage("readability_eval", Readability),
    Stage("iou_eval", Overlap),
)
STAGE_NAMES = tuple(stage.name for stage in STAGES)
