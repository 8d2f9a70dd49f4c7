"""READ FIRST. The eight stages of a variant in run order. Each reads its inputs, calls the stage, saves the result."""

# Dagster reads the annotations of an asset at run time, so they are not postponed here.

from typing import Any

import dagster as dg

from resources.detector import Detector
from resources.images import ImageStore
from resources.ocr import Ocr
from resources.postgres.database import Database
from resources.vlm import VisionModel
from resources.wiring import StageLimits
from stages.fidelity import fidelity
from stages.imaging.geometry import size_of
from stages.iou_eval import overlap
from stages.model_call import request_trace
from stages.ocr_eval import lines_to_read, score
from stages.overlay import render
from stages.placement.plan_picture import planner_picture
from stages.planner import plan
from stages.readability_eval import measure
from stages.type.fonts import Fonts
from stages.values import Analysis, Detections, Judgement, Layout, Plan, Readability, Recognition
from stages.verdict import verdict
from stages.yolo_detect import detections_with_mask
from variant_assets.partitions import job_variants
from variant_assets.stage_run import RETRIES, stage_run

STAGE: dict[str, Any] = {
    "partitions_def": job_variants,
    "group_name": "variant",
    "pool": "variants",
    "retry_policy": RETRIES,
}
Result = dg.MaterializeResult[None]


@dg.asset(**STAGE)
def vlm_analyze(
    context: dg.AssetExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    limits: dg.ResourceParam[StageLimits],
    vision: dg.ResourceParam[VisionModel],
) -> Result:
    """Does the image suit the copy? What cannot be known is left open, with the reason."""
    with stage_run(context, db, images, limits) as work:
        copy = work.copy_for_model
        work.save(vision.analyze(work.image, copy), request=request_trace(work.image, copy=copy))
    return work.materialized()


@dg.asset(**STAGE, deps=[vlm_analyze])
def yolo_detect(
    context: dg.AssetExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    limits: dg.ResourceParam[StageLimits],
    detector: dg.ResourceParam[Detector],
) -> Result:
    """The objects that text must not cover, and the mask of what stays clear."""
    with stage_run(context, db, images, limits) as work:
        found = detector.detect(work.image)
        detections, mask = detections_with_mask(found.objects, size_of(work.image), detector.info, found.masks)
        work.save(detections, picture=mask)
    return work.materialized()


@dg.asset(**STAGE, deps=[yolo_detect])
def planner(
    context: dg.AssetExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    limits: dg.ResourceParam[StageLimits],
) -> Result:
    """Where the copy goes: ranked regions, the chosen one, and why."""
    with stage_run(context, db, images, limits) as work:
        detections = work.result(Detections)
        planned = plan(work.image, detections, work.forbidden_mask, work.result(Analysis), work.copy)
        work.save(planned, picture=planner_picture(work.image, detections, planned))
    return work.materialized()


@dg.asset(**STAGE, deps=[planner])
def overlay(
    context: dg.AssetExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    limits: dg.ResourceParam[StageLimits],
    fonts: dg.ResourceParam[Fonts],
) -> Result:
    """The finished ad: the copy drawn where the planner put it."""
    with stage_run(context, db, images, limits) as work:
        layout, ad = render(work.image, work.result(Plan), work.copy, fonts, work.result(Analysis))
        work.save(layout, picture=ad)
    return work.materialized()


@dg.asset(**STAGE, deps=[overlay])
def vlm_judge(
    context: dg.AssetExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    limits: dg.ResourceParam[StageLimits],
    vision: dg.ResourceParam[VisionModel],
) -> Result:
    """A model's opinion of the finished ad. It may lower a verdict, never raise one."""
    with stage_run(context, db, images, limits) as work:
        copy, brief = work.copy, work.brief
        work.save(vision.judge(work.ad, copy, brief), request=request_trace(work.ad, copy=copy, brief=brief))
    return work.materialized()


@dg.asset(**STAGE, deps=[vlm_judge])
def ocr_eval(
    context: dg.AssetExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    limits: dg.ResourceParam[StageLimits],
    ocr: dg.ResourceParam[Ocr],
) -> Result:
    """The text read back from the finished ad, against what was drawn."""
    with stage_run(context, db, images, limits) as work:
        layout = work.result(Layout)
        work.save(score(layout, ocr.read(work.ad, lines_to_read(layout)), ocr.info, ocr.knows))
    return work.materialized()


@dg.asset(**STAGE, deps=[ocr_eval])
def readability_eval(
    context: dg.AssetExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    limits: dg.ResourceParam[StageLimits],
    fonts: dg.ResourceParam[Fonts],
) -> Result:
    """The contrast of the drawn glyphs against the pixels beside them, and whether the ad is what was laid out."""
    with stage_run(context, db, images, limits) as work:
        layout = work.result(Layout)
        contrast = measure(work.image, work.ad, layout, fonts)
        proof = fidelity(work.image, work.ad, layout, work.copy, fonts)
        work.save(contrast.model_copy(update={"fidelity": proof}))
    return work.materialized()


@dg.asset(**STAGE, deps=[readability_eval])
def iou_eval(
    context: dg.AssetExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    limits: dg.ResourceParam[StageLimits],
) -> Result:
    """How much of each object lies under the text, and the verdict; job_completion then completes the variant."""
    with stage_run(context, db, images, limits) as work:
        covered = overlap(work.result(Layout), work.result(Detections))
        outcome = verdict(work.result(Recognition), work.result(Readability), covered, work.result(Judgement))
        work.save(covered, verdict=outcome)
    return work.materialized()


STAGES = (vlm_analyze, yolo_detect, planner, overlay, vlm_judge, ocr_eval, readability_eval, iou_eval)
