"""Measurements that stand in where there is no vision-language model."""

from __future__ import annotations

import numpy as np

from resources.loading.cpu_limit import limit_to_cpu_count
from stages.imaging.arrays import Picture
from stages.imaging.quality import LONG_SIDE_PX
from stages.values import Analysis, Judgement, ModelInfo
from stages.vlm_analyze import measured_analysis
from stages.vlm_judge import measured_judgement


class MeasuredVision:
    """Measures what can be measured in the picture; leaves open, with the reason, what only a model can know."""

    info = ModelInfo(provider="embedded", model="measured", revision="1", parameters={"long_side_px": LONG_SIDE_PX})

    survives_fork = True

    def load(self) -> None:
        import cv2

        # The first conversion makes tables.
        cv2.cvtColor(np.zeros((1, 1, 3), np.float32), cv2.COLOR_RGB2LAB)

    @limit_to_cpu_count
    def analyze(self, image: Picture, copy: str) -> Analysis:
        return measured_analysis(image, copy, self.info)

    @limit_to_cpu_count
    def judge(self, ad: Picture, copy: str, brief: str) -> Judgement:
        return measured_judgement(ad, self.info)
