"""What a model is asked, by version of the prompt, and the only answers it can give: schemas that bound every field."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stages.values import (
    Analysis,
    FontRecommendation,
    FontStyle,
    Judgement,
    ModelInfo,
    SizeCategory,
)

ANALYZE, JUDGE = "analyze.v1", "judge.v1"

# Patterns rather than lengths alone, and enums rather than numbers: constrained decoding then ends, whatever the model.
_Sentence = Annotated[str, Field(pattern=r"^[A-Za-z0-9 ,.;:()%'/+-]{1,90}$")]
_Text = Annotated[str, Field(pattern=r"^[A-Za-z0-9 ,.;:()%'/+-]{1,200}$")]
_Color = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
_Sentences = Annotated[list[_Sentence], Field(max_length=3)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AnalysisAnswer(_Answer):
    is_valid: bool
    image_quality_ok: bool
    relevance_tenths: Literal[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    issues: _Sentences
    recommendations: _Sentences
    font_style: FontStyle
    font_size: SizeCategory
    font_color: _Color
    text: _Text

    def analysis(self, model: ModelInfo) -> Analysis:
        red, green, blue = bytes.fromhex(self.font_color[1:])
        return Analysis(
            is_valid=self.is_valid,
            image_quality_ok=self.image_quality_ok,
            relevance_score=self.relevance_tenths / 10,
            issues=tuple(self.issues),
            recommendations=tuple(self.recommendations),
            font=FontRecommendation(style=self.font_style, size_category=self.font_size, color=(red, green, blue)),
            text=self.text,
            model=model,
        )


class JudgementAnswer(_Answer):
    on_brief: bool
    occlusion: bool
    contrast_ok: bool
    cta_present: bool
    issues: _Sentences
    reasoning: _Text

    def judgement(self, model: ModelInfo) -> Judgement:
        values: dict[str, Any] = self.model_dump() | {"issues": tuple(self.issues)}
        return Judgement(**values, model=model)


@lru_cache
def _template(version: str) -> str:
    return (Path(__file__).parent / "prompts" / f"{version}.txt").read_text(encoding="utf-8")


def prompt(version: str, **data: str) -> str:
    """The prompt of a version with its data between the marks; a mark inside the data ends nothing."""
    apart = {name: value.replace("</", "< /").replace("{", "(").replace("}", ")") for name, value in data.items()}
    return _template(version).format(**apart)
