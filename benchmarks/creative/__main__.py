"""How good the ads are, against the predecessor's, on pictures with known objects."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.creative import sheet
from benchmarks.creative.cost import cost
from benchmarks.creative.defects import goals_of_defects, summary
from benchmarks.creative.run import SceneFigures, run
from benchmarks.creative.table import by_method, detector_figures, goals, print_table
from benchmarks.report import publish
from testing.scenes.editions import scenes_of


def main(arguments: Sequence[str] | None = None) -> int:
    given = _arguments(arguments)
    numbers = _spread(scenes_of(given.edition), given.limit)
    results = run(numbers, given.workers)
    rows = by_method(results)
    print_table(rows)
    costs = cost()
    extra: dict[str, Any] = {
        **costs._asdict(),
        "refused": sum(len([m for m in result.refused if m.startswith("ours")]) for result in results),
        "differing": sum(not result.same_twice for result in results),
    }
    figures = {"scenes": len(numbers), **detector_figures(results), **extra}
    defects = summary([result.defects for result in results])
    kinds = defects.pop("kinds")
    missed = [
        {"scene": result.number, "kind": each.kind}
        for result in results
        for each in result.defects.tried
        if not each.caught
    ]
    if given.sheet is not None:
        sheet.worst(results, given.sheet)
    publish(
        figures | defects,
        goals(rows, extra) + goals_of_defects(defects),
        given.json,
        details={"methods": rows, "defects": kinds, "missed": missed, "ads": _ads(results)},
    )
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.creative", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument(
        "--edition", type=int, default=0, help="0: the pictures tuned on; 1, 2, ...: others (default: 0)"
    )
    parser.add_argument("--limit", type=int, help="only so many scenes, spread over all of them")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--sheet", type=Path, help="write the 12 worst ads here, as .png or, small, as .jpg")
    return parser.parse_args(arguments)


def _spread(numbers: Sequence[int], limit: int | None) -> Sequence[int]:
    if limit is None or limit >= len(numbers):
        return numbers
    return [numbers[round(place * (len(numbers) - 1) / max(1, limit - 1))] for place in range(limit)]


def _ads(results: Sequence[SceneFigures]) -> list[dict[str, Any]]:
    return [asdict(ad) for result in results for ad in result.ads]


if __name__ == "__main__":
    sys.exit(main())
