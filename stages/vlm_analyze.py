"""Does the picture suit the copy, and what type would? From a model's answer, or from measurements without a model."""

from __future__ import annotations

from typing import Literal

import numpy as np

from stages.imaging.arrays import Floats32, Picture
from stages.imaging.contrast import contrast_ratio
from stages.imaging.quality import LONG_SIDE_PX, Quality, quality_issues, quality_of
from stages.imaging.resizing import shrunk
from stages.model_call import NEEDS_MODEL, Answer, Color, Sentences, Text
from stages.values import Analysis, FontRecommendation, FontStyle, ModelInfo, Rgb, SizeCategory

LITTLE_CALM = 0.12
"""Share of calm area below which text needs something under it."""

SHORT_COPY, MEDIUM_COPY = 16, 48
"""Characters; shorter copy is set larger."""

CRISP = 200
"""Sharpness from which a picture suits a plain face better than a round one."""

_MAIN_COLORS = 5


# No docstring: it would travel to the model, in the schema.
class AnalysisAnswer(Answer):
    is_valid: bool
    image_quality_ok: bool
    relevance_tenths: Literal[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    issues: Sentences
    recommendations: Sentences
    font_style: FontStyle
    font_size: SizeCategory
    font_color: Color
    text: Text

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


def measured_analysis(image: Picture, copy: str, model: ModelInfo) -> Analysis:
    """What can be measured of an RGB picture (height, width, 3). What needs a model is None, with the reason."""
    small = shrunk(image, LONG_SIDE_PX)
    quality = quality_of(small)
    issues = quality_issues(quality)
    return Analysis(
        is_valid=None,
        image_quality_ok=not issues,
        relevance_score=None,
        issues=issues,
        recommendations=_recommendations(quality),
        font=_font(small, quality, copy),
        text=(
            f"brightness {quality.brightness:.2f}, contrast {quality.contrast:.2f}, calm areas"
            f" {quality.calm_share:.0%}, subject {quality.subject_share:.0%} of the picture"
        ),
        unknown={
            "is_valid": f"whether the picture suits the copy {NEEDS_MODEL}",
            "relevance_score": f"relevance to the copy {NEEDS_MODEL}",
        },
        measured={name: round(value, 4) for name, value in quality._asdict().items()},
        model=model,
    )


def _recommendations(quality: Quality) -> tuple[str, ...]:
    return ("little calm area: put a panel behind the text",) if quality.calm_share < LITTLE_CALM else ()


def _font(small: Picture, quality: Quality, copy: str) -> FontRecommendation:
    size: SizeCategory = "large" if len(copy) <= SHORT_COPY else "medium" if len(copy) <= MEDIUM_COPY else "small"
    return FontRecommendation(
        style="sans" if quality.sharpness > CRISP else "rounded", size_category=size, color=_text_color(small)
    )


def _text_color(small: Picture) -> Rgb:
    """A light or dark tint of the picture's most vivid main colour: the one that stands out more from its mean."""
    import cv2

    pixels = small.reshape(-1, 3).astype(np.float32)
    cv2.setRNGSeed(1)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 1.0)
    _, _, centers = cv2.kmeans(pixels, _MAIN_COLORS, np.zeros(0), criteria, 1, cv2.KMEANS_PP_CENTERS)
    vivid = max(centers, key=lambda center: (float(np.ptp(center)), *map(float, center)))
    tints = [_mixed(vivid, 255.0, 0.88), _mixed(vivid, 0.0, 0.82)]
    mean: Rgb = tuple(int(value) for value in pixels.mean(axis=0))  # type: ignore[assignment]
    return max(tints, key=lambda tint: float(contrast_ratio(tint, mean)))


def _mixed(color: Floats32, level: float, share: float) -> Rgb:
    """The colour with this share of a grey level (0…255) mixed in."""
    red, green, blue = (round(float(value) * (1 - share) + level * share) for value in color)
    return red, green, blue
