"""The benchmark's figures as pictures; matplotlib comes with `make models`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

RANKS = (50, 95, 99)


def draw(figures: Mapping[str, Any], configurations: list[str], folder: Path) -> None:
    """latency.png: from commit to the first stage; history.png: CPU per variant with and without a long history."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    latency = Figure(figsize=(7, 4), layout="constrained")
    axes = latency.subplots()
    for name in configurations:
        values = [figures[f"{name}: isolated, first stage running p{rank} s"] for rank in RANKS]
        axes.plot([f"p{rank}" for rank in RANKS], values, marker="o", label=name)
    axes.set(yscale="log", ylabel="s", title="From commit to the first stage at work, isolated variants")
    axes.legend()
    latency.savefig(folder / "latency.png", dpi=120)

    history = Figure(figsize=(7, 4), layout="constrained")
    axes = history.subplots()
    for name in configurations:
        costs = [figures[f"{name}: {when}, CPU per variant s"] for when in ("no history", "with history")]
        axes.plot(["none", "with history"], costs, marker="o", label=name)
    axes.set(ylim=(0, None), ylabel="CPU s per variant", title="Cost against history")
    axes.legend()
    history.savefig(folder / "history.png", dpi=120)
