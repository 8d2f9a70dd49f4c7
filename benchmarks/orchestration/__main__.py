"""Measures latency, throughput and cost of the orchestration against stock Dagster, and against no Dagster at all."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.orchestration.configurations import STAGE_SETS, configurations
from benchmarks.orchestration.measuring import FULL, QUICK, measure
from benchmarks.orchestration.plots import draw
from benchmarks.orchestration.without_dagster import throughput
from benchmarks.report import Goal, publish


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orchestration", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="fewer of everything: to see that it works")
    parser.add_argument("--plots", type=Path, help="draw latency.png and history.png into this folder")
    parser.add_argument("--only", action="append", help="only the configuration of this name; may be repeated")
    parser.add_argument("--stages", action="append", help="only the stages of this name; may be repeated")
    given = parser.parse_args(arguments)
    # Also who ends us from outside leaves no server or daemon behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was done"))
    size = QUICK if given.quick else FULL
    chosen = [each for each in configurations() if not given.only or each.name in given.only]
    figures: dict[str, Any] = {"quick": given.quick}
    for stages in (each for each in STAGE_SETS if not given.stages or each.name in given.stages):
        burst = min(size.bursts)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            rate = throughput(stages, burst, Path(folder))
        print(f"no Dagster, {stages.name} stages: {rate} variants a minute", flush=True)
        figures[f"{stages.name}, no Dagster: burst of {burst}, variants a minute"] = rate
        for configuration in chosen:
            print(f"{configuration.name}, {stages.name} stages …", flush=True)
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                measured = measure(configuration, stages, Path(folder), size)
            figures |= {f"{stages.name}, {configuration.name}: {name}": value for name, value in measured.items()}
    if given.plots is not None:
        draw(figures, [configuration.name for configuration in chosen], given.plots)
    publish(figures, goals(figures, min(size.bursts)), given.json)
    return 0


def goals(figures: dict[str, Any], burst: int) -> list[Goal]:
    """Of our own configuration, as far as it was measured."""
    at_most = [
        ("trivial, ours: isolated, first stage running p50 s", 0.4, "s"),
        ("trivial, ours: isolated, first stage running p99 s", 1.0, "s"),
        ("trivial, ours: stream, first stage running p50 s", 0.6, "s"),
        ("trivial, ours: stream, first stage running p95 s", 1.2, "s"),
        ("trivial, ours: CPU per variant s", 0.6, "s"),
        ("trivial, ours: connections per run", 5, ""),
        ("trivial, ours: idle CPU % of a core", 5, "%"),
        ("trivial, ours: history, run cost ratio", 1.2, "×"),
        ("trivial, ours: history, tick cost ratio", 1.2, "×"),
    ]
    found = [Goal.at_most(name, figures[name], limit, unit) for name, limit, unit in at_most if name in figures]
    rate = f"burst of {burst}, variants a minute"
    if f"trivial, ours: {rate}" in figures:
        found.append(Goal.at_least(f"trivial, ours: {rate}", figures[f"trivial, ours: {rate}"], 120, "a minute"))
    for name in figures:
        if name.startswith(f"embedded, ours: burst of {burst}, share of no Dagster"):
            found.append(Goal.at_least(name, figures[name], 65, "%"))
    return found


if __name__ == "__main__":
    sys.exit(main())
