"""The interface of vision-language models, which analyse a picture and judge an ad."""

from __future__ import annotations

from typing import Protocol

from stages.imaging.arrays import Picture
from stages.values import Analysis, Judgement, ModelInfo


class VisionModel(Protocol):
    @property
    def info(self) -> ModelInfo: ...

    def load(self) -> None:
        """Loads what the model needs, once per process, so that the first picture does not wait for it."""
        ...

    @property
    def survives_fork(self) -> bool:
        """Whether a forked process can use what `load` made: no threads, no open connections, no GPU."""
        ...

    def analyze(self, image: Picture, copy: str) -> Analysis:
        """Whether the picture suits the copy, and which type would. `None` for what the model cannot know."""
        ...

    def judge(self, ad: Picture, copy: str, brief: str) -> Judgement:
        """An opinion of the finished ad. `None` for what the model cannot know."""
        ...
