"""The prompts, by version. A change of words is a new version, so that every stored answer names what was asked."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

ANALYZE, JUDGE = "analyze.v1", "judge.v1"


@lru_cache
def _template(version: str) -> str:
    return (Path(__file__).parent / "prompts" / f"{version}.txt").read_text(encoding="utf-8")


def prompt(version: str, **data: str) -> str:
    """The prompt of a version with its data between the marks; a mark inside the data ends nothing."""
    apart = {name: value.replace("</", "< /").replace("{", "(").replace("}", ")") for name, value in data.items()}
    return _template(version).format(**apart)
