"""Measurements that stand in where there is no vision-language model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resources.loading.cpu_limit import limit_to_cpu_count
from stages.imaging.arrays import Picture
from stages.imaging.contrast import contrast_ratio
from stages.imaging.resizing import shrunk
from stages.values import Analysis, FontRecommendation, Judgement, ModelInfo, Rgb, SizeCategory

Floats = NDArray[np.float32]


class _Measured(NamedTuple):
    """Figures of a picture, each 0…1 except `sharpness` (variance of the Laplacian of 8-bit grey)."""

    brightness: float
    contrast: float
    sharpness: float
    calm_share: float
    subject_share: float
    colorfulness: float


class MeasuredVision:
    """Says what can be measured in the picture and leaves open, with the reason, what only a model can know."""

    _LONG_SIDE_PX = 384
    _DARK, _BRIGHT = 0.08, 0.95
    _FLAT = 0.04
    _BLURRED = 12.0
    _LITTLE_CALM = 0.12
    _COLORS = 5
    _NEEDS_MODEL = "needs a vision-language model; set VLM"

    info = ModelInfo(provider="embedded", model="measured", revision="1", parameters={"long_side_px": _LONG_SIDE_PX})

    survives_fork = True

    def load(self) -> None:
        import cv2

        # The first conversion makes tables.
        cv2.cvtColor(np.zeros((1, 1, 3), np.float32), cv2.COLOR_RGB2LAB)

    @limit_to_cpu_count
    def analyze(self, image: Picture, copy: str) -> Analysis:
        small = shrunk(image, self._LONG_SIDE_PX)
        measured = _measure(small)
        issues = self._issues(measured)
        return Analysis(
            is_valid=None,
            image_quality_ok=not issues,
            relevance_score=None,
            issues=tuple(issues),
            recommendations=self._recommendations(measured),
            font=self._font(small, measured, copy),
            text=(
                f"brightness {measured.brightness:.2f}, contrast {measured.contrast:.2f}, calm areas"
                f" {measured.calm_share:.0%}, subject {measured.subject_share:.0%} of the picture"
            ),
            unknown={
                "is_valid": f"whether the picture suits the copy {self._NEEDS_MODEL}",
                "relevance_score": f"relevance to the copy {self._NEEDS_MODEL}",
            },
            measured={name: round(value, 4) for name, value in measured._asdict().items()},
            model=self.info,
        )

    @limit_to_cpu_count
    def judge(self, ad: Picture, copy: str, brief: str) -> Judgement:
        measured = _measure(shrunk(ad, self._LONG_SIDE_PX))
        return Judgement(
            on_brief=None,
            occlusion=None,
            contrast_ok=None,
            cta_present=None,
            issues=tuple(self._issues(measured)),
            reasoning=(
                f"The finished ad has brightness {measured.brightness:.2f} and contrast {measured.contrast:.2f}."
                " Occlusion, contrast and legibility of the text are measured by the stages after this one."
            ),
            unknown={
                "on_brief": f"agreement with the brief {self._NEEDS_MODEL}",
                "occlusion": "measured by iou_eval, which knows where the text is",
                "contrast_ok": "measured by readability_eval, which knows where the glyphs are",
                "cta_present": f"whether the copy calls to action {self._NEEDS_MODEL}",
            },
            model=self.info,
        )

    def _issues(self, measured: _Measured) -> list[str]:
        said = {
            f"very dark (brightness {measured.brightness:.2f})": measured.brightness < self._DARK,
            f"very bright (brightness {measured.brightness:.2f})": measured.brightness > self._BRIGHT,
            f"almost without contrast ({measured.contrast:.2f})": measured.contrast < self._FLAT,
            f"blurred (sharpness {measured.sharpness:.0f})": measured.sharpness < self._BLURRED,
        }
        return [issue for issue, present in said.items() if present]

    def _recommendations(self, measured: _Measured) -> tuple[str, ...]:
        if measured.calm_share < self._LITTLE_CALM:
            return ("little calm area: put a panel behind the text",)
        return ()

    def _font(self, small: Picture, measured: _Measured, copy: str) -> FontRecommendation:
        size: SizeCategory = "large" if len(copy) <= 16 else "medium" if len(copy) <= 48 else "small"
        return FontRecommendation(
            style="sans" if measured.sharpness > 200 else "rounded",
            size_category=size,
            color=_text_color(small, self._COLORS),
        )


def _measure(small: Picture) -> _Measured:
    import cv2

    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    edges = _edge_strength(grey)
    busy = cv2.GaussianBlur(edges, (0, 0), max(small.shape[:2]) / 64)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    chroma = np.linalg.norm(lab[..., 1:], axis=2)
    return _Measured(
        brightness=float(grey.mean()) / 255,
        contrast=float(grey.std()) / 127.5,
        sharpness=float(cv2.Laplacian(grey, cv2.CV_32F).var()),
        calm_share=float((busy < 0.02).mean()),
        subject_share=float((busy > 0.06).mean()),
        colorfulness=min(1.0, float(chroma.mean()) / 60),
    )


def _edge_strength(grey: Picture) -> Floats:
    """Gradient magnitude 0…1, from Sobel in float: 8-bit squares would wrap."""
    import cv2

    across, down = (cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx, ksize=3) for dx in (1, 0))
    return np.asarray(np.sqrt((across**2 + down**2) / 2) / 1020, dtype=np.float32)


def _text_color(small: Picture, colors: int) -> Rgb:
    """A light or dark tint of the picture's most vivid main colour: the one that stands out more from its mean."""
    import cv2

    pixels = small.reshape(-1, 3).astype(np.float32)
    cv2.setRNGSeed(1)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 1.0)
    _, _, centers = cv2.kmeans(pixels, colors, np.zeros(0), criteria, 1, cv2.KMEANS_PP_CENTERS)
    vivid = max(centers, key=lambda center: (float(np.ptp(center)), *map(float, center)))
    tints = [_blend(vivid, 255.0, 0.88), _blend(vivid, 0.0, 0.82)]
    mean: Rgb = tuple(int(value) for value in pixels.mean(axis=0))  # type: ignore[assignment]
    return max(tints, key=lambda tint: float(contrast_ratio(tint, mean)))


def _blend(color: Floats, towards: float, share: float) -> Rgb:
    red, green, blue = (round(float(value) * (1 - share) + towards * share) for value in color)
    return red, green, blue
