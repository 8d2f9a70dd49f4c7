"""The figures of a stage's result that Dagster shows with its materialization."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from stages.values import (
    Analysis,
    Detections,
    Fidelity,
    Judgement,
    Layout,
    ModelInfo,
    Overlap,
    Plan,
    Readability,
    Recognition,
    Value,
    Verdict,
)

Figures = dict[str, Any]


@singledispatch
def figures(value: Value) -> Figures:
    """A value's figures as Dagster metadata."""
    raise TypeError(f"no figures are defined for {type(value).__name__}")


@figures.register
def _(value: Analysis) -> Figures:
    return {
        "text": value.text,
        "is_valid": _known(value.is_valid),
        "image_quality_ok": _known(value.image_quality_ok),
        "relevance_score": _known(value.relevance_score),
        "issues": list(value.issues),
        "recommendations": list(value.recommendations),
        "font": f"{value.font.style}, {value.font.size_category}, {_hex(value.font.color)}",
        "unknown": value.unknown,
        "measured": value.measured,
        **_model(value.model),
    }


@figures.register
def _(value: Detections) -> Figures:
    return {
        "objects": len(value.objects),
        "found": [f"{found.label} {found.score:.2f}" for found in value.objects],
        "forbidden_share": value.forbidden_share,
        **_model(value.model),
    }


@figures.register
def _(value: Plan) -> Figures:
    chosen = value.proposals[value.chosen]
    return {
        "chosen": chosen.words,
        "score": chosen.score,
        "occlusion": chosen.occlusion,
        "reasons": chosen.reasons,
        "proposals": len(value.proposals),
        "needs_panel": value.needs_panel,
    }


@figures.register
def _(value: Layout) -> Figures:
    return {
        "lines": [line.text for line in value.lines],
        "font": value.face.family,
        "font_size_px": value.font_size_px,
        "fill": _hex(value.fill),
        "panel_opacity": value.panel.opacity if value.panel else 0.0,
        # As calculated when the colours were chosen; readability_eval measures what was drawn.
        "planned_contrast_p1": value.contrast_p1,
        "warnings": list(value.warnings),
    }


@figures.register
def _(value: Judgement) -> Figures:
    return {
        "on_brief": _known(value.on_brief),
        "occlusion": _known(value.occlusion),
        "contrast_ok": _known(value.contrast_ok),
        "cta_present": _known(value.cta_present),
        "issues": list(value.issues),
        "reasoning": value.reasoning,
        "unknown": value.unknown,
        **_model(value.model),
    }


@figures.register
def _(value: Recognition) -> Figures:
    return {
        "reason": value.reason,
        "recognized": value.recognized_text,
        "cer": value.cer,
        "cer_ignoring_spaces": value.cer_ignoring_spaces,
        "wer": value.wer,
        "unreadable_by_reader": list(value.unreadable_by_reader),
        "confidence": value.confidence,
        **_model(value.model),
    }


@figures.register
def _(value: Readability) -> Figures:
    return {
        "reason": value.reason,
        "score": value.score,
        "contrast_min": value.contrast_min,
        "contrast_p1": value.contrast_p1,
        "contrast_median": value.contrast_median,
        "passes_aa": value.passes_aa,
        "passes_aaa": value.passes_aaa,
        **_as_laid_out(value.fidelity),
    }


@figures.register
def _(value: Overlap) -> Figures:
    return {
        "reason": value.reason,
        "overlaps": value.overlaps,
        "max_coverage": value.max_coverage,
        "max_iou": value.max_iou,
        "text_on_objects": value.text_on_objects,
        "plate_coverage": value.plate_coverage,
    }


@figures.register
def _(value: Verdict) -> Figures:
    return {
        "verdict": value.outcome,
        "verdict_score": value.score,
        "verdict_reasons": [f"{reason.outcome}: {reason.english} / {reason.korean}" for reason in value.reasons],
    }


def _as_laid_out(fidelity: Fidelity | None) -> Figures:
    if fidelity is None:
        return {}
    figures = fidelity.model_dump(mode="json", exclude={"differs_at", "reason"})
    return {"as_laid_out": fidelity.reason, **figures}


def _known(value: bool | float | None) -> bool | float | str:
    return "not known" if value is None else value


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _model(model: ModelInfo) -> Figures:
    return {"model": f"{model.provider} {model.model} {model.revision}"}
