"""What is changed when the unit tests themselves are tested."""

import ast
from pathlib import Path

import pytest

from testing.mutants.sites import mutants, mutated

HERE = Path("some.py")
SOURCE = """
class Limits:
    most: float = 4.0

def large(a: int | None, b: int, c: bool) -> bool:
    return a + b > 3 and not c

def other(x: int) -> list[tuple[int, int]]:
    return list(zip([-x], [x // 2], strict=True))
"""


def test_comparisons_booleans_and_arithmetic_are_changed_and_annotations_are_not() -> None:
    found = {f"{mutant.before} → {mutant.after}" for mutant in mutants(HERE, SOURCE)}
    assert found == {
        "a + b > 3 and (not c) → a + b > 3 or not c",
        "a + b > 3 → a + b >= 3",
        "a + b > 3 → a + b <= 3",
        "a + b → a - b",
        "not c → not not c",
        "-x → +x",
        "x // 2 → x * 2",
    }


def test_each_mutant_is_the_program_with_its_one_change() -> None:
    programs = {ast.unparse(mutated(mutant, SOURCE)) for mutant in mutants(HERE, SOURCE)}
    assert len(programs) == 7
    assert ast.unparse(ast.parse(SOURCE)) not in programs


def test_only_the_named_functions_are_changed() -> None:
    [minus, half] = mutants(HERE, SOURCE, within=frozenset({"other"}))
    assert {minus.before, half.before} == {"-x", "x // 2"}
    assert "x * 2" in ast.unparse(mutated(next(m for m in (minus, half) if m.before == "x // 2"), SOURCE))
    with pytest.raises(ValueError, match="no function is called gone"):
        mutants(HERE, SOURCE, within=frozenset({"gone"}))


def test_a_threshold_is_moved_both_ways_a_little_and_far() -> None:
    found = mutants(HERE, SOURCE, thresholds="Limits")
    assert [float(mutant.after) for mutant in found] == pytest.approx([2.0, 3.8, 4.2, 8.0])
    assert "most: float = 8.0" in ast.unparse(mutated(found[-1], SOURCE, thresholds="Limits"))
