"""Where a program can be changed by one operator, and the program so changed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_THRESHOLD_FACTORS = (0.5, 0.95, 1.05, 2.0)


class Mutant(NamedTuple):
    """One change. `number` counts the changes of its file; `before` and `after` are the expression it stands in."""

    path: Path
    number: int
    line: int
    last_line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before} → {self.after}"


class _Change(NamedTuple):
    """A node, what is set in it, and what stands there otherwise."""

    node: ast.expr | ast.AugAssign
    field: str
    old: object
    new: object


def mutants(path: Path, source: str, *, within: frozenset[str] = frozenset(), thresholds: str = "") -> list[Mutant]:
    """All changes of comparisons, booleans and arithmetic; with `within` only in functions of these names.

    With `thresholds`, the name of a class, instead the changes of the numbers that its fields have without a value.
    """
    tree = ast.parse(source)
    return [_described(path, number, change) for number, change in _chosen(tree, within, thresholds)]


def mutated(mutant: Mutant, source: str, *, thresholds: str = "") -> ast.Module:
    """The program with the change."""
    tree = ast.parse(source)
    change = next(change for number, change in _chosen(tree, frozenset(), thresholds) if number == mutant.number)
    setattr(change.node, change.field, change.new)
    return ast.fix_missing_locations(tree)


def _chosen(tree: ast.Module, within: frozenset[str], thresholds: str) -> Iterator[tuple[int, _Change]]:
    changes = _of_thresholds(tree, thresholds) if thresholds else _of_operators(tree)
    lines = _lines_of(tree, within) if within else None
    for number, change in enumerate(changes):
        if lines is None or change.node.lineno in lines:
            yield number, change


def _lines_of(tree: ast.Module, names: frozenset[str]) -> set[int]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in names]
    missing = names - {function.name for function in found}
    if missing:
        raise ValueError(f"no function is called {', '.join(sorted(missing))}; correct the list of what is mutated")
    return {line for function in found for line in range(function.lineno, (function.end_lineno or 0) + 1)}


def _described(path: Path, number: int, change: _Change) -> Mutant:
    before = ast.unparse(change.node)
    setattr(change.node, change.field, change.new)
    after = ast.unparse(change.node)
    setattr(change.node, change.field, change.old)
    return Mutant(path, number, change.node.lineno, change.node.end_lineno or 0, before, after)


def _of_thresholds(tree: ast.Module, name: str) -> Iterator[_Change]:
    [table] = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name]
    for field in table.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.value, ast.Constant):
            for factor in _THRESHOLD_FACTORS:
                yield _Change(field.value, "value", field.value.value, field.value.value * factor)  # type: ignore[operator]


def _of_operators(tree: ast.Module) -> Iterator[_Change]:
    idle = {id(inner) for node in ast.walk(tree) for outer in _idle(node) for inner in ast.walk(outer)}
    for node in ast.walk(tree):
        if id(node) not in idle:
            yield from _of_node(node)


def _idle(node: ast.AST) -> list[ast.expr]:
    """What no result depends on: annotations, and the `strict` of a zip."""
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return [node.value]
    found = (getattr(node, field, None) for field in ("annotation", "returns"))
    return [annotation for annotation in found if isinstance(annotation, ast.expr)]


def _of_node(node: ast.AST) -> Iterator[_Change]:
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in _COMPARISONS[type(operator)]:
                yield _Change(node, "ops", node.ops, [*node.ops[:place], other(), *node.ops[place + 1 :]])
    elif isinstance(node, ast.BoolOp):
        yield _Change(node, "op", node.op, ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _ARITHMETIC:
        yield _Change(node, "op", node.op, _ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield _Change(node, "op", node.op, ast.UAdd())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _Change(node, "operand", node.operand, ast.UnaryOp(ast.Not(), node.operand))
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield _Change(node, "value", node.value, not node.value)
