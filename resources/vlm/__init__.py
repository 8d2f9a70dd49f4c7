"""What analyses a picture and judges an ad: the interface."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from variant_assets.stages.values import Analysis, Judgement, ModelInfo

Picture = NDArray[np.uint8]


class VisionModel(Protocol):
    @property
    def info(self) -> ModelInfo: ...

    def analyze(self, image: Picture, copy: str) -> Analysis:
        """Does this picture suit this copy, and what type would? `None` for what the model cannot know."""
        ...

    def judge(self, ad: Picture, copy: str, brief: str) -> Judgement:
        """An opinion of the finished ad. `None` for what the model cannot know."""
        ...
