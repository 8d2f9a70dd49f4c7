"""What every benchmark prints and writes: a table, and JSON that ends in its goals."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Goal:
    """A figure of this run against what it should be."""

    figure: str
    value: float
    goal: str
    met: bool

    @classmethod
    def at_most(cls, figure: str, value: float, limit: float, unit: str) -> Goal:
        return cls(figure, round(value, 3), f"≤ {limit:g} {unit}".rstrip(), value <= limit)

    @classmethod
    def at_least(cls, figure: str, value: float, limit: float, unit: str) -> Goal:
        return cls(figure, round(value, 4), f"≥ {limit:g} {unit}".rstrip(), value >= limit)


def report(arguments: Sequence[str] | None, description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args(arguments)


def publish(
    figures: dict[str, Any], goals: Sequence[Goal], path: Path | None, details: dict[str, Any] | None = None
) -> None:
    """Prints figures and goals; the JSON holds both, and details that are too long to print, goals last."""
    for name, value in figures.items():
        print(f"{name:48} {value}")
    print()
    for goal in goals:
        print(f"{goal.figure:48} {goal.value:>10}  {goal.goal:12} {'met' if goal.met else 'NOT MET'}")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {**figures, **(details or {}), "goals": [asdict(goal) for goal in goals]}
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
