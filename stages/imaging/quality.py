"""What can be measured of a picture's technical quality, without a model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stages.imaging.arrays import Floats32, Picture

LONG_SIDE_PX = 384
"""Pictures are reduced to this before they are measured, so that the figures of any two can be compared."""

TOO_DARK, TOO_BRIGHT = 0.08, 0.95
TOO_FLAT = 0.04
TOO_BLURRED = 12.0

_CALM, _BUSY = 0.02, 0.06
"""Mean edge strength below which a place is calm, and above which it shows a subject."""

_MOST_CHROMA = 60.0
"""In Lab: a picture whose mean is this high is as colourful as pictures get."""


class Quality(NamedTuple):
    """Figures of a picture, each 0…1 except `sharpness` (variance of the Laplacian of 8-bit grey)."""

    brightness: float
    contrast: float
    sharpness: float
    calm_share: float
    subject_share: float
    colorfulness: float


def quality_of(small: Picture) -> Quality:
    """The figures of an RGB picture (height, width, 3) that is reduced to LONG_SIDE_PX."""
    import cv2

    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    busy = cv2.GaussianBlur(_edge_strength(grey), (0, 0), max(small.shape[:2]) / 64)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    chroma = np.linalg.norm(lab[..., 1:], axis=2)
    return Quality(
        brightness=float(grey.mean()) / 255,
        contrast=float(grey.std()) / 127.5,
        sharpness=float(cv2.Laplacian(grey, cv2.CV_32F).var()),
        calm_share=float((busy < _CALM).mean()),
        subject_share=float((busy > _BUSY).mean()),
        colorfulness=min(1.0, float(chroma.mean()) / _MOST_CHROMA),
    )


def quality_issues(quality: Quality) -> tuple[str, ...]:
    """What is wrong with the picture, in words, each with its figure; empty for a good one."""
    issues = {
        f"very dark (brightness {quality.brightness:.2f})": quality.brightness < TOO_DARK,
        f"very bright (brightness {quality.brightness:.2f})": quality.brightness > TOO_BRIGHT,
        f"almost without contrast ({quality.contrast:.2f})": quality.contrast < TOO_FLAT,
        f"blurred (sharpness {quality.sharpness:.0f})": quality.sharpness < TOO_BLURRED,
    }
    return tuple(issue for issue, present in issues.items() if present)


def _edge_strength(grey: Picture) -> Floats32:
    """Gradient magnitude 0…1, from Sobel in float: 8-bit squares would wrap."""
    import cv2

    across, down = (cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx, ksize=3) for dx in (1, 0))
    return np.asarray(np.sqrt((across**2 + down**2) / 2) / 1020, dtype=np.float32)
