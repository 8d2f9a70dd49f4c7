"""The prompts, by version. Changed words are a new version: each stored answer names the version of its prompt."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from stages.wording import harmless

ANALYZE, JUDGE = "analyze.v1", "judge.v1"


@lru_cache
def _template(version: str) -> str:
    return (Path(__file__).parent / "prompts" / f"{version}.txt").read_text(encoding="utf-8")


def prompt(version: str, **data: str) -> str:
    """The prompt of a version with the data in its place.

    Closing marks inside the data are made harmless, and what nobody would see of it is left out.
    """
    return _template(version).format(**{name: _apart(harmless(value)) for name, value in data.items()})


def _apart(value: str) -> str:
    return value.replace("</", "< /").replace("{", "(").replace("}", ")")
