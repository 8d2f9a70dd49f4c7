"""A tiny LLaVA that was taught, within a minute, one good answer to each prompt: a server can be asked for real."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from resources.vlm.prompt import ANALYZE, JUDGE, prompt
from testing.models import answers, tiny_llava
from testing.models.answers import ANALYSIS, JUDGEMENT
from testing.models.cache import one_maker

_STEPS, _LEARNING_RATE = 800, 4e-3
# How fast it learns differs from machine to machine, so it is examined before it is used.
_MOST_COURSES, _QUESTIONS = 5, 60
# Every byte that ad copy can have: one never seen in a lesson leads the model astray.
_CHARACTERS = [chr(code) for code in (*range(0x20, 0x7F), ord("₩"), *range(ord("가"), ord("힣"), 112))]


def taught(cache: Path) -> Path:
    """The folder, from the cache when this very recipe and these prompts made it before."""
    sources = [Path(module) for module in (__file__, answers.__file__, tiny_llava.__file__)]
    recipe = hashlib.sha256(b"".join(source.read_bytes() for source in sources))
    recipe.update((prompt(ANALYZE, copy="") + prompt(JUDGE, copy="", brief="")).encode())
    folder = cache / f"llava-{recipe.hexdigest()[:16]}"
    with one_maker(cache, folder.name):
        if not folder.exists():
            unfinished = cache / f"{folder.name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            _teach(tiny_llava.make(unfinished))
            unfinished.rename(folder)
    return folder


def _teach(folder: Path) -> None:
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    torch.set_num_threads(1)
    torch.manual_seed(1)
    random = np.random.default_rng(1)
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder).train()
    for _ in range(_MOST_COURSES):
        _course(model, processor, random)
        if _knows(model, processor, random):
            model.eval().save_pretrained(folder)
            return
    raise RuntimeError(f"the tiny LLaVA did not learn its answers in {_MOST_COURSES} courses of {_STEPS} lessons")


def _course(model: Any, processor: Any, random: np.random.Generator) -> None:
    import torch

    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=_STEPS, pct_start=0.1)
    for step in range(_STEPS):
        model(**_lesson(processor, random, judging=step % 2 == 0)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def _knows(model: Any, processor: Any, random: np.random.Generator) -> bool:
    """Every token of the answers to new pictures and copy is the likeliest, so greedy decoding writes them."""
    import torch

    with torch.inference_mode():
        for number in range(_QUESTIONS):
            asked = _lesson(processor, random, judging=number % 2 == 0)
            likeliest, wanted = model(**asked).logits[:, :-1].argmax(-1), asked["labels"][:, 1:]
            if not bool((likeliest == wanted)[wanted != -100].all()):
                return False
    return True


def _lesson(processor: Any, random: np.random.Generator, *, judging: bool) -> Any:
    """A random picture and copy with the prompt and its answer; the loss is taken over the answer alone."""
    from PIL import Image

    copy, brief = ("".join(random.choice(_CHARACTERS, random.integers(3, 80))) for _ in range(2))
    asked = prompt(JUDGE, copy=copy, brief=brief) if judging else prompt(ANALYZE, copy=copy)
    answer = json.dumps(JUDGEMENT if judging else ANALYSIS) + processor.tokenizer.eos_token
    content = [{"type": "image"}, {"type": "text", "text": asked}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    picture = Image.fromarray(random.integers(0, 255, (*random.integers(40, 140, 2), 3), dtype=np.uint8))
    inputs = processor(images=picture, text=text + answer, return_tensors="pt")
    labels = inputs["input_ids"].clone()
    labels[:, : -len(processor.tokenizer(answer, add_special_tokens=False)["input_ids"])] = -100
    return {**inputs, "labels": labels}
