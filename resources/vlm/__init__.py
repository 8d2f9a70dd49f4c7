"""What analyses a picture and judges an ad: the interface."""

from __future__ import annotations

from typing import Protocol

from stages.imaging.arrays import Picture
from stages.values import Analysis, Judgement, ModelInfo


class VisionModel(Protocol):
    @property
    def info(self) -> ModelInfo: ...

    def load(self) -> None:
        """Loads what it needs, once per process, before the first picture rather than at it."""
        ...

    @property
    def survives_fork(self) -> bool:
        """Whether what `load` makes works in a forked process: no threads, no open connections, no GPU."""
        ...

    def analyze(self, image: Picture, copy: str) -> Analysis:
        """Does this picture suit this copy, and what type would? `None` for what the model cannot know."""
        ...

    def judge(self, ad: Picture, copy: str, brief: str) -> Judgement:
        """An opinion of the finished ad. `None` for what the model cannot know."""
        ...
