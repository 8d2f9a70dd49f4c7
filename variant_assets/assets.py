"""READ FIRST. The eight stages of a variant in run order, each: load, call the stage, save."""

# Dagster reads the annotations of an asset at run time, so they are not postponed here.

from typing import Any

import dagster as dg

from resources.detector import Detector
from resources.images import ImageStore
from resources.ocr import Ocr
from resources.postgres.database import Database
from resources.vlm import VisionModel, traced
from stages.fidelity import fidelity
from stages.imaging.geometry import size_of
from stages.imaging.pictures import planner_picture
from stages.iou_eval import overlap
from stages.ocr_eval import lines_to_read, score
from stages.overlay import render
from stages.planner import plan
from stages.readability_eval import measure
from stages.type.fonts import Fonts
from stages.values import Analysis, Detections, Judgement, Layout, Plan, Readability, Recognition
from stages.verdict import verdict
from stages.vlm_analyze import require_copy
from stages.yolo_detect import forbid
from variant_assets.artifacts import finished_ad, forbidden_mask, generated_image, store, thumbnail_metadata
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
    vision: dg.ResourceParam[VisionModel],
) -> Result:
    """Does the image suit the copy? What cannot be known is left open, with the reason."""
    with stage_run(context, db) as work:
        copy = require_copy(work.variant.copy_eng or work.variant.copy_kor, str(work.variant.job_id))
        image = generated_image(work.variant, images)
        work.save(vision.analyze(image, copy), request=traced(image, copy=copy))
    return work.materialized()


@dg.asset(**STAGE, deps=[vlm_analyze])
def yolo_detect(
    context: dg.AssetExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    detector: dg.ResourceParam[Detector],
) -> Result:
    """The objects that text must not cover, and the mask of what stays clear."""
    with stage_run(context, db) as work:
        image = generated_image(work.variant, images)
        found = detector.detect(image)
        detections, mask = forbid(found.objects, size_of(image), detector.info, found.masks)
        work.save(detections, artifact_url=store(work.variant, images, mask, "mask"))
    return work.materialized()


@dg.asset(**STAGE, deps=[yolo_detect])
def planner(
    context: dg.AssetExecutionContext, db: dg.ResourceParam[Database], images: dg.ResourceParam[ImageStore]
) -> Result:
    """Where the copy goes: ranked regions, the chosen one, and why."""
    with stage_run(context, db) as work:
        variant = work.variant
        image, mask = generated_image(variant, images), forbidden_mask(variant, images)
        detections = variant.result("yolo_detect", Detections)
        copy = require_copy(variant.copy_kor, str(variant.job_id))
        planned = plan(image, detections, mask, variant.result("vlm_analyze", Analysis), copy)
        picture = planner_picture(image, detections, planned)
        work.save(planned, artifact_url=store(variant, images, picture, "plan"), metadata=thumbnail_metadata(picture))
    return work.materialized()


@dg.asset(**STAGE, deps=[planner])
def overlay(
    context: dg.AssetExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    fonts: dg.ResourceParam[Fonts],
) -> Result:
    """The finished ad: the copy drawn where the planner put it."""
    with stage_run(context, db) as work:
        variant = work.variant
        copy = require_copy(variant.copy_kor, str(variant.job_id))
        planned, analysis = variant.result("planner", Plan), variant.result("vlm_analyze", Analysis)
        layout, ad = render(generated_image(variant, images), planned, copy, fonts, analysis)
        work.save(layout, artifact_url=store(variant, images, ad, "final"), metadata=thumbnail_metadata(ad))
    return work.materialized()


@dg.asset(**STAGE, deps=[overlay])
def vlm_judge(
    context: dg.AssetExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    vision: dg.ResourceParam[VisionModel],
) -> Result:
    """A model's opinion of the finished ad. It may lower a verdict, never raise one."""
    with stage_run(context, db) as work:
        copy = require_copy(work.variant.copy_kor, str(work.variant.job_id))
        brief = work.variant.brief or copy
        ad = finished_ad(work.variant, images)
        work.save(vision.judge(ad, copy, brief), request=traced(ad, copy=copy, brief=brief))
    return work.materialized()


@dg.asset(**STAGE, deps=[vlm_judge])
def ocr_eval(
    context: dg.AssetExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    ocr: dg.ResourceParam[Ocr],
) -> Result:
    """The text read back from the finished ad, against what was drawn."""
    with stage_run(context, db) as work:
        layout = work.variant.result("overlay", Layout)
        read = ocr.read(finished_ad(work.variant, images), lines_to_read(layout))
        work.save(score(layout, read, ocr.info, ocr.knows))
    return work.materialized()


@dg.asset(**STAGE, deps=[ocr_eval])
def readability_eval(
    context: dg.AssetExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    fonts: dg.ResourceParam[Fonts],
) -> Result:
    """The contrast of the drawn glyphs against the pixels beside them, and whether the ad is what was laid out."""
    with stage_run(context, db) as work:
        original, ad = generated_image(work.variant, images), finished_ad(work.variant, images)
        layout = work.variant.result("overlay", Layout)
        copy = require_copy(work.variant.copy_kor, str(work.variant.job_id))
        contrast, truth = measure(original, ad, layout, fonts), fidelity(original, ad, layout, copy, fonts)
        work.save(contrast.model_copy(update={"fidelity": truth}))
    return work.materialized()


@dg.asset(**STAGE, deps=[readability_eval])
def iou_eval(context: dg.AssetExecutionContext, db: dg.ResourceParam[Database]) -> Result:
    """How much of each object lies under the text, and the verdict; job_completion then completes the variant."""
    with stage_run(context, db) as work:
        variant = work.variant
        covered = overlap(variant.result("overlay", Layout), variant.result("yolo_detect", Detections))
        recognition = variant.result("ocr_eval", Recognition)
        readability, judgement = variant.result("readability_eval", Readability), variant.result("vlm_judge", Judgement)
        work.save(covered, verdict=verdict(recognition, readability, covered, judgement))
    return work.materialized()


STAGES = (vlm_analyze, yolo_detect, planner, overlay, vlm_judge, ocr_eval, readability_eval, iou_eval)
