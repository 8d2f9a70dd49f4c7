"""What the stages that measure an ad have against it."""

from __future__ import annotations

from resources.ocr import Ocr
from stages.fidelity import fidelity
from stages.iou_eval import overlap
from stages.ocr_eval import lines_to_read, score
from stages.readability_eval import measure
from stages.values import Judgement, ModelInfo, StageError
from stages.verdict import verdict
from testing.defects.perturb import DrawnAd

_SILENT = Judgement(
    on_brief=None, occlusion=None, contrast_ok=None, cta_present=None, reasoning="no model is asked",
    model=ModelInfo(provider="none", model="none", revision="1"),
)  # fmt: skip


def complaints(ad: DrawnAd, copy: str, ocr: Ocr) -> tuple[str, ...]:
    """The reasons of the verdict, none for a good ad; a stage that refuses the ad counts as a reason, too."""
    original, detections = ad.scene.image, ad.scene.truth()[0]
    try:
        recognition = score(ad.layout, ocr.read(ad.image, lines_to_read(ad.layout)), ocr.info, ocr.knows)
        faithful = fidelity(original, ad.image, ad.layout, copy, ad.fonts)
        readability = measure(original, ad.image, ad.layout, ad.fonts).model_copy(update={"fidelity": faithful})
        covered = overlap(ad.layout, detections)
    except StageError as error:
        return (str(error),)
    return tuple(reason.english for reason in verdict(recognition, readability, covered, _SILENT).reasons)
