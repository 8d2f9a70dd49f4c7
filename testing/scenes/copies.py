"""Ad copy of small shops: Korean, English and mixed, 2 to 140 characters."""

from __future__ import annotations

from pathlib import Path

COPIES = tuple(Path(__file__).with_name("copies.txt").read_text(encoding="utf-8").splitlines())


def copy_for(number: int) -> str:
    """Each scene has its own; the step has no factor in common with the number of copies, so all take turns."""
    return COPIES[number * 17 % len(COPIES)]
