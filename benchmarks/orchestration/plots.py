"""The benchmark's figures as pictures; matplotlib comes with `make models`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

RANKS = (50, 95, 99)


def draw(figures: Mapping[str, Any], configurations: list[str], folder: Path) -> None:
    """latency.png: from commit to the first stage; history.png: CPU per variant with a short and a long history."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    latency = Figure(figsize=(7, 3.5), layout="constrained")
    axes = latency.subplots()
    for name in configurations:
        for what, line in (("isolated", "-"), ("stream", "--")):
            names = [f"trivial, {name}: {what}, first stage running p{rank} s" for rank in RANKS]
            if names[0] not in figures:
                continue
            values = [figures[figure] for figure in names]
            axes.plot([f"p{rank}" for rank in RANKS], values, line, marker="o", label=f"{name}, {what}")
    axes.set(yscale="log", ylabel="s", title="From commit to the first stage at work")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    latency.savefig(folder / "latency.png", dpi=120)

    history = Figure(figsize=(7, 3.5), layout="constrained")
    axes = history.subplots()
    for name in configurations:
        prefix, suffix = f"trivial, {name}: history of ", ", CPU per variant s"
        points = {int(key[len(prefix) : -len(suffix)]): value for key, value in figures.items()
                  if key.startswith(prefix) and key.endswith(suffix)}  # fmt: skip
        if points:
            axes.plot(list(points), list(points.values()), marker="o", label=name)
    axes.margins(y=0.3)
    axes.set(xscale="log", xlabel="past variants", ylabel="CPU s per variant", title="Cost of a run")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right")
    history.savefig(folder / "history.png", dpi=120)
