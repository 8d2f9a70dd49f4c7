"""The interface of detectors, which find the objects that text must not cover."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from stages.imaging.arrays import Mask, Picture
from stages.values import DetectedObject, ModelInfo


class Detected(NamedTuple):
    """Objects and, from models that give them, one mask each: (height, width), non-zero on the object."""

    objects: tuple[DetectedObject, ...]
    masks: tuple[Mask, ...] | None = None


class Detector(Protocol):
    @property
    def info(self) -> ModelInfo: ...

    def load(self) -> None:
        """Loads what the detector needs, once per process, so that the first picture does not wait for it."""
        ...

    @property
    def survives_fork(self) -> bool:
        """Whether a forked process can use what `load` made: no threads, no open connections, no GPU."""
        ...

    def detect(self, image: Picture) -> Detected:
        """The objects of an RGB picture (height, width, 3), best first."""
        ...
