"""Changes one operator at a time and counts how many of the changes the unit tests notice."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from testing.mutants.sites import Mutant, mutants, mutated
from testing.mutants.trials import Reached, preload, reached_lines, tried

_TESTS = "tests/unit"
# They run the stages as a whole, if at all, for half a minute each: what they notice, a test of its own should.
_LEFT_OUT = ("defects", "detector", "images", "ocr", "ocr_parts", "settings", "structure", "vlm")


class Group(NamedTuple):
    """What is mutated: files, or functions of them, or the numbers of a table."""

    name: str
    files: dict[str, frozenset[str]]
    goal: float
    thresholds: str = ""


_WHOLE: frozenset[str] = frozenset()
_DECISIONS = {
    "orchestration/coordinator.py": frozenset({"_has_room", "_first_with_room", "_priority"}),
    "orchestration/fair_queue.py": _WHOLE,
    "resources/postgres/notifier.py": frozenset({"may_be_startable"}),
    "resources/pressure.py": frozenset({"is_pressed", "is_calm"}),
    "sensors/new_variants.py": frozenset({"run_request"}),
    "sensors/throttle.py": frozenset({"decide"}),
    "variant_assets/retention.py": frozenset({"to_remove"}),
    "variant_assets/runs.py": frozenset({"unfinished_runs", "asked_revision", "is_terminated", "variants_of"}),
}
GROUPS = (
    Group("stages", dict.fromkeys(map(str, sorted(Path("stages").rglob("*.py"))), _WHOLE), 0.9),
    Group("thresholds", {"stages/verdict.py": _WHOLE}, 1.0, "VerdictThresholds"),
    Group("decisions", _DECISIONS, 0.9),
)


class Outcome(NamedTuple):
    mutant: Mutant
    noticed: bool
    tests: int
    took_s: float


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every group reaches its goal, else 1."""
    given = _arguments(arguments)
    preload()
    groups = [group for group in GROUPS if not given.only or group.name in given.only]
    files = sorted({Path(file) for group in groups for file in group.files})
    reached = reached_lines(files, [_TESTS, *(f"--ignore={_TESTS}/test_{name}.py" for name in _LEFT_OUT)])
    report = {}
    for group in groups:
        outcomes = _outcomes(group, reached, given.sample, given.seed, given.workers)
        report[group.name] = outcomes
        _print(group, outcomes)
    if given.json is not None:
        content = {
            name: [{**each._asdict(), "mutant": str(each.mutant)} for each in found] for name, found in report.items()
        }
        given.json.write_text(json.dumps(content, indent=2, ensure_ascii=False))
    return 0 if all(_share(report[group.name]) >= group.goal for group in groups) else 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m testing.mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=200, help="mutants of each group at most; 0: all (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default: 1)")
    parser.add_argument("--only", action="append", help="only the group of this name; may be repeated")
    parser.add_argument("--workers", type=int, default=2, help="mutants at a time (default: 2)")
    parser.add_argument("--json", type=Path, help="write every mutant and what became of it here")
    return parser.parse_args(arguments)


def _outcomes(group: Group, reached: Reached, sample: int, seed: int, workers: int) -> list[Outcome]:
    found = [
        mutant
        for file, within in group.files.items()
        for mutant in mutants(Path(file), Path(file).read_text(), within=within, thresholds=group.thresholds)
    ]
    if sample and not group.thresholds:
        found = sorted(random.Random(seed).sample(found, min(sample, len(found))))
    seconds = [_tests_of(mutant, reached[str(mutant.path)]) for mutant in found]
    # Each worker forks again for each mutant; a thread could not do so safely.
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        return list(pool.map(partial(_outcome, group.thresholds), found, seconds))


def _outcome(thresholds: str, mutant: Mutant, seconds: dict[str, float]) -> Outcome:
    tests = sorted(seconds, key=lambda test: seconds[test])
    program = mutated(mutant, mutant.path.read_text(), thresholds=thresholds)
    if not tests:
        return Outcome(mutant, False, 0, 0.0)
    trial = tried(mutant.path, program, tests, within_s=60.0 + 20.0 * sum(seconds.values()))
    print(f"{'noticed ' if trial.noticed else 'SURVIVED'} {trial.took_s:5.1f} s  {mutant}", flush=True)
    return Outcome(mutant, trial.noticed, len(tests), trial.took_s)


def _tests_of(mutant: Mutant, lines: dict[int, dict[str, float]]) -> dict[str, float]:
    """The tests that run the changed lines; all that run anything of the file where a line runs at import."""
    own = [lines[line] for line in range(mutant.line, mutant.last_line + 1) if lines.get(line)]
    return {test: took_s for tests in own or lines.values() for test, took_s in tests.items()}


def _share(outcomes: Sequence[Outcome]) -> float:
    return sum(each.noticed for each in outcomes) / max(1, len(outcomes))


def _print(group: Group, outcomes: Sequence[Outcome]) -> None:
    print(f"\n{group.name}: {sum(each.noticed for each in outcomes)} of {len(outcomes)} noticed,", end=" ")
    print(f"{_share(outcomes):.1%} (goal: {group.goal:.0%}). The others:")
    for each in outcomes:
        if not each.noticed:
            print(f"  {each.mutant}" + ("" if each.tests else "   (no test runs it)"))


if __name__ == "__main__":
    sys.exit(main())
