"""What each backend costs on small local artefacts: import, load, first and warm call, memory; and its library bare."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.models.cases import KINDS
from benchmarks.models.one import VARIANTS
from benchmarks.report import Goal, publish, report
from resources.settings import PROJECT
from service.running import ONE_ARENA
from testing.models.model_server import model_server

_COLUMNS = ("import_s", "load_s", "first_ms", "warm_ms", "against_bare", "memory_mb", "growth", "loads", "valid")


def main(arguments: Sequence[str] | None = None) -> int:
    given = report(arguments, __doc__ or "")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        with model_server(Path(folder) / "serve.log") as url:
            measured = {name: _in_a_process("benchmarks.models.one", name, url) for name in KINDS}
        variants = {name: _in_a_process("benchmarks.models.variant", name) for name in ("embedded", "real")}
    print(f"{'':24}" + "".join(f"{column:>14}" for column in _COLUMNS))
    for name, figures in measured.items():
        print(f"{name:24}" + "".join(f"{figures[column]!s:>14}" for column in _COLUMNS))
    print()
    totals = {
        f"a complete variant, {name}, first / warm ms": f"{sum(times['first'].values()):.0f} / "
        f"{sum(times['warm'].values()):.0f}"
        for name, times in variants.items()
    }
    publish(totals, _goals(measured), given.json, details={"backends": measured, "variants": variants})
    return 0


def _in_a_process(module: str, *given: str) -> dict[str, Any]:
    """A module's last line, which is JSON; memory and first times are that process's alone, set up as a run's is."""
    environment = {**os.environ, "MALLOC_ARENA_MAX": ONE_ARENA}
    done = subprocess.run(
        [sys.executable, "-m", module, *given],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _goals(measured: dict[str, dict[str, Any]]) -> list[Goal]:
    def worst(figure: str) -> float:
        return max(float(each[figure]) for each in measured.values())

    valid = sum(bool(each["valid"]) for each in measured.values())
    return [
        Goal.at_least("backends that ran on a local artefact", len(measured), len(KINDS), "backends"),
        Goal.at_most(f"loads per process, {VARIANTS} variants, 8 threads", worst("loads"), 1, "load"),
        Goal.at_most(f"growth of memory, variant 5 to {VARIANTS}", worst("growth"), 0.02, ""),
        Goal.at_most("a call against the library alone", worst("against_bare"), 1.10, ""),
        Goal.at_least("backends with valid answers only", valid / len(measured), 1.0, ""),
    ]


if __name__ == "__main__":
    sys.exit(main())
