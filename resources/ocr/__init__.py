"""Reading back the lines that were drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from resources.images import Pixels
from variant_assets.stages.values import LineRead, LineToRead, ModelInfo, StageError


class UnsupportedLanguage(StageError):  # noqa: N818 - named for what is missing
    """No recogniser here reads this script. Never to be mistaken for text that reads badly."""


class Ocr(Protocol):
    """Reads known lines of a picture."""

    @property
    def info(self) -> ModelInfo: ...

    def read(self, image: Pixels, lines: Sequence[LineToRead]) -> tuple[LineRead, ...]:
        """The text of each line of a uint8 RGB picture (height, width, 3), in the order of `lines`.

        Text that cannot be read is an empty or unsure reading. An engine that fails raises, and a script
        nobody here can read raises UnsupportedLanguage.
        """
        ...
