"""An opinion of the finished ad: a model's answer, or, without a model, what is wrong with the picture as measured."""

from __future__ import annotations

from typing import Any

from stages.imaging.arrays import Picture
from stages.imaging.quality import LONG_SIDE_PX, quality_issues, quality_of
from stages.imaging.resizing import shrunk
from stages.model_call import NEEDS_MODEL, Answer, Sentences, Text
from stages.values import Judgement, ModelInfo


# No docstring: it would travel to the model, in the schema.
class JudgementAnswer(Answer):
    on_brief: bool
    occlusion: bool
    contrast_ok: bool
    cta_present: bool
    issues: Sentences
    reasoning: Text

    def judgement(self, model: ModelInfo) -> Judgement:
        values: dict[str, Any] = self.model_dump() | {"issues": tuple(self.issues)}
        return Judgement(**values, model=model)


def measured_judgement(ad: Picture, model: ModelInfo) -> Judgement:
    """Issues that can be measured in an RGB picture (height, width, 3); every opinion is None, with the reason."""
    quality = quality_of(shrunk(ad, LONG_SIDE_PX))
    return Judgement(
        on_brief=None,
        occlusion=None,
        contrast_ok=None,
        cta_present=None,
        issues=quality_issues(quality),
        reasoning=(
            f"The finished ad has brightness {quality.brightness:.2f} and contrast {quality.contrast:.2f}."
            " Occlusion, contrast and legibility of the text are measured by the stages after this one."
        ),
        unknown={
            "on_brief": f"agreement with the brief {NEEDS_MODEL}",
            "occlusion": "measured by iou_eval, which knows where the text is",
            "contrast_ok": "measured by readability_eval, which knows where the glyphs are",
            "cta_present": f"whether the copy calls to action {NEEDS_MODEL}",
        },
        model=model,
    )
