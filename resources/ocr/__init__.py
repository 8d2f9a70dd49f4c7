"""What reads the text back: the interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stages.imaging.arrays import Picture
from stages.values import LineRead, LineToRead, ModelInfo, Script, Size


class Ocr(Protocol):
    @property
    def info(self) -> ModelInfo: ...

    def load(self) -> None:
        """Loads what it needs, once per process, before the first line rather than at it."""
        ...

    @property
    def survives_fork(self) -> bool:
        """Whether what `load` makes works in a forked process: no threads, no open connections, no GPU."""
        ...

    def knows(self, character: str, script: Script) -> bool:
        """Whether the character is one of those it can read in a line of this script, on whatever picture."""
        ...

    def read(self, image: Picture, lines: Sequence[LineToRead]) -> tuple[LineRead, ...]:
        """One reading for each line of an RGB picture; empty text where nothing can be read. Raises if it is broken."""
        ...


def line_pixels(line: LineToRead, image: Picture) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a line in px, whole and inside the picture, one px wide and high at least."""
    height_px, width_px = image.shape[:2]
    left, top, right, bottom = line.box.corners_px(Size(width_px=width_px, height_px=height_px))
    left, top = min(int(left), width_px - 1), min(int(top), height_px - 1)
    return left, top, min(width_px, round(right) + 1), min(height_px, round(bottom) + 1)
