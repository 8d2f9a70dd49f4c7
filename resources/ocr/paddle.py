"""PaddleOCR's recognition models on the known lines, by name or by folder, on paddle or onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resources.loading.loaded_once import LoadedOnce
from resources.loading.weights import require, sha256
from resources.ocr import line_pixels
from stages.imaging.arrays import Picture
from stages.values import LineRead, LineToRead, ModelInfo, Script, StageError

# Models whose names do not start with their language read Chinese, Japanese and English; none of those reads Hangul.
_READS_HANGUL = ("korean_",)


@dataclass(frozen=True)
class PaddleSettings:
    """A model is a name that PaddleOCR knows, or a folder that holds one with its inference.yml."""

    hangul_model: str
    latin_model: str
    engine: str = "onnxruntime"


class _Model(NamedTuple):
    """`characters` is the dictionary of a model in a folder; None for one that PaddleOCR knows by name."""

    recognizer: Any
    reads_hangul: bool
    characters: frozenset[str] | None = None


class PaddleOcr:
    """Detection is left out: where the lines are is known, and recognising them alone is faster and better."""

    def __init__(self, settings: PaddleSettings) -> None:
        self._settings = settings
        names: dict[Script, str] = {"hangul": settings.hangul_model, "latin": settings.latin_model}
        loaders = {name: LoadedOnce(lambda name=name: self._load(name)) for name in set(names.values())}  # type: ignore[misc]
        self.models: dict[Script, LoadedOnce[_Model]] = {script: loaders[name] for script, name in names.items()}

    @property
    def info(self) -> ModelInfo:
        given = self._settings
        names = dict.fromkeys((given.hangul_model, given.latin_model))
        return ModelInfo(
            provider="paddleocr",
            model=" + ".join(Path(name).name for name in names),
            revision=" + ".join(_revision(name) for name in names),
            parameters={"engine": given.engine},
        )

    # Its engines keep threads.
    survives_fork = False

    def load(self) -> None:
        for model in self.models.values():
            model.get()

    def knows(self, character: str, script: Script) -> bool:
        """Of a model known by name every character, as its dictionary has all of its languages."""
        characters = self.models[script].get().characters
        return characters is None or character in characters

    def read(self, image: Picture, lines: Sequence[LineToRead]) -> tuple[LineRead, ...]:
        """Each script's lines in one batch. Raises what the engine raises: a broken engine is no bad reading."""
        reads: dict[int, LineRead] = {}
        for script in dict.fromkeys(line.script for line in lines):
            numbers = [number for number, line in enumerate(lines) if line.script == script]
            crops = [_crop(image, lines[number]) for number in numbers]
            reads.update(zip(numbers, self._read(script, crops), strict=True))
        return tuple(reads[number] for number in range(len(lines)))

    def _read(self, script: Script, crops: list[Picture]) -> list[LineRead]:
        with self.models[script].in_use() as model:
            if script == "hangul" and not model.reads_hangul:
                raise StageError(
                    f"unsupported language: the copy is Korean, OCR_HANGUL_MODEL={self._settings.hangul_model} has no"
                    " Hangul in its dictionary; use korean_PP-OCRv5_mobile_rec"
                )
            results = model.recognizer.predict(crops, batch_size=len(crops))
        return [
            LineRead(text=str(result["rec_text"]).strip(), confidence=min(1.0, max(0.0, float(result["rec_score"]))))
            for result in results
        ]

    def _load(self, name: str) -> _Model:
        os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")
        folder = Path(name)
        is_folder = name.startswith((".", "/", "~")) or folder.is_dir()
        options: dict[str, str] = {"model_name": name}
        reads_hangul = name.startswith(_READS_HANGUL)
        characters = None
        if is_folder:
            described = _described(folder)
            options = {"model_name": described["Global"]["model_name"], "model_dir": str(folder)}
            characters = frozenset(described["PostProcess"]["character_dict"])
            reads_hangul = any("가" <= character <= "힣" for character in characters)
        from paddleocr import TextRecognition

        return _Model(TextRecognition(engine=self._settings.engine, **options), reads_hangul, characters)


def _crop(image: Picture, line: LineToRead) -> Picture:
    left, top, right, bottom = line_pixels(line, image)
    return np.ascontiguousarray(image[top:bottom, left:right, ::-1])


def _described(folder: Path) -> Any:
    import yaml

    settings = "OCR_HANGUL_MODEL or OCR_LATIN_MODEL"
    inference = require(folder / "inference.yml", settings, "name a folder with a PaddleOCR model")
    return yaml.safe_load(inference.read_text(encoding="utf-8"))


def _revision(name: str) -> str:
    return f"sha256:{sha256(Path(name))[:16]}" if Path(name).is_dir() else name
