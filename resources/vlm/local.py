"""A vision-language model in this process: any image-text-to-text model that transformers loads, LLaVA by default."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

from resources.loading.device import runs_on_gpu
from resources.loading.loaded_once import LoadedOnce
from resources.loading.weights import require, sha256
from resources.vlm.prompt import ANALYZE, JUDGE, prompt
from stages.imaging.arrays import Picture
from stages.imaging.resizing import for_model
from stages.values import Analysis, Judgement, ModelInfo
from stages.vlm_analyze import AnalysisAnswer
from stages.vlm_judge import JudgementAnswer

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True)
class LocalSettings:
    """`model` is a folder, or a name on the hub: loaded from the local cache, or fetched with internet access."""

    model: str
    device: str = "auto"
    dtype: str = "auto"
    quantization: str = "none"
    max_tokens: int = 1024


class _Loaded(NamedTuple):
    model: Any
    processor: Any
    # One for each schema; used by one generation at a time.
    masks: dict[type[BaseModel], Any]


class LocalVision:
    """Decodes greedily, so the same picture gets the same answer, and constrained, so every answer fits its schema."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self.loaded: LoadedOnce[_Loaded] = LoadedOnce(self._load)

    @cached_property
    def info(self) -> ModelInfo:
        given, folder = self._settings, Path(self._settings.model)
        return ModelInfo(
            provider="transformers",
            model=folder.name if folder.is_dir() else given.model,
            revision=f"sha256:{sha256(folder)[:16]}" if folder.is_dir() else "main",
            parameters={
                "dtype": given.dtype,
                "quantization": given.quantization,
                "device": given.device,
                "max_tokens": given.max_tokens,
                "temperature": 0,
            },
        )

    @property
    def survives_fork(self) -> bool:
        return not runs_on_gpu(self._settings.device)

    def load(self) -> None:
        self.loaded.get()

    def analyze(self, image: Picture, copy: str) -> Analysis:
        answer, used = self._ask(ANALYZE, AnalysisAnswer, image, copy=copy)
        return answer.analysis(used)

    def judge(self, ad: Picture, copy: str, brief: str) -> Judgement:
        answer, used = self._ask(JUDGE, JudgementAnswer, ad, copy=copy, brief=brief)
        return answer.judgement(used)

    def _ask(self, version: str, schema: type[A], image: Picture, **data: str) -> tuple[A, ModelInfo]:
        import torch
        from PIL import Image

        with self.loaded.in_use() as loaded:
            content = [{"type": "image"}, {"type": "text", "text": prompt(version, **data)}]
            text = loaded.processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True
            )
            inputs = loaded.processor(images=Image.fromarray(for_model(image)), text=text, return_tensors="pt")
            inputs = inputs.to(loaded.model.device, loaded.model.dtype)
            mask = loaded.masks[schema]
            mask.reset()
            with torch.inference_mode():
                tokens = loaded.model.generate(
                    **inputs,
                    max_new_tokens=self._settings.max_tokens,
                    do_sample=False,
                    logits_processor=[mask],
                )
            prompt_tokens = inputs["input_ids"].shape[1]
            answer = loaded.processor.decode(tokens[0, prompt_tokens:], skip_special_tokens=True)
        extra = {
            "prompt": version,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens.shape[1] - prompt_tokens,
        }
        used = self.info.model_copy(update={"parameters": {**self.info.parameters, **extra}})
        return schema.model_validate_json(answer), used

    def _load(self) -> _Loaded:
        given = self._settings
        if given.model.startswith((".", "/", "~")):
            require(Path(given.model), "VLM_MODEL", "name a folder with the model, or a name of the hub")
            os.environ.setdefault("HF_HUB_OFFLINE", "1")
        import outlines
        from transformers import AutoModelForImageTextToText, AutoProcessor
        from transformers.utils.logging import disable_progress_bar

        # Nobody sees it, and with its thread the process could not be forked.
        disable_progress_bar()
        processor = AutoProcessor.from_pretrained(given.model)
        options: dict[str, Any] = {"dtype": given.dtype}
        if given.device == "auto":
            options["device_map"] = "auto"
        if given.quantization != "none":
            options["quantization_config"] = _quantization(given.quantization)
        model = AutoModelForImageTextToText.from_pretrained(given.model, **options).eval()
        if given.device != "auto":
            model = model.to(given.device)
        constrained = outlines.from_transformers(model, processor)
        masks: dict[type[BaseModel], Any] = {
            schema: _only(constrained, schema) for schema in (AnalysisAnswer, JudgementAnswer)
        }
        return _Loaded(model, processor, masks)


def _quantization(kind: str) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_8bit=kind == "8bit", load_in_4bit=kind == "4bit")


def _only(constrained: Any, schema: type[BaseModel]) -> Any:
    """Excludes, at every token, what would not fit the schema. Compiled lazily, for any vocabulary."""
    from outlines.backends import get_json_schema_logits_processor

    # No white space between the parts: a model could spend all its tokens on it.
    compact = {**schema.model_json_schema(), "x-guidance": {"whitespace_flexible": False}}
    return get_json_schema_logits_processor("llguidance", constrained, json.dumps(compact))
