"""What finds the objects that text must not cover: the interface."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from stages.imaging.arrays import Mask, Picture
from stages.values import DetectedObject, ModelInfo


class Detected(NamedTuple):
    """Objects, and where the model gives them one mask each: (height, width), non-zero on the object."""

    objects: tuple[DetectedObject, ...]
    masks: tuple[Mask, ...] | None = None


class Detector(Protocol):
    @property
    def info(self) -> ModelInfo: ...

    def load(self) -> None:
        """Loads what it needs, once per process, before the first picture rather than at it."""
        ...

    @property
    def survives_fork(self) -> bool:
        """Whether what `load` makes works in a forked process: no threads, no open connections, no GPU."""
        ...

    def detect(self, image: Picture) -> Detected:
        """The objects of an RGB picture (height, width, 3), best first."""
        ...
