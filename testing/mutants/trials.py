"""Runs the tests that reach a changed line, with the change in place; in a process of its own for each mutant."""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

_OPTIONS = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--assert=plain", "--hypothesis-profile=mutants"]
_FORK = get_context("fork")

Reached = dict[str, dict[int, dict[str, float]]]
"""By file and line: the tests that run the line, and the seconds that each takes."""


class _Changed(Loader, MetaPathFinder):
    """Gives one module as another program than its file holds."""

    def __init__(self, path: Path, program: ast.Module) -> None:
        self._name = ".".join(path.with_suffix("").parts)
        self._path, self._program = path, program

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_file_location(fullname, self._path, loader=self) if fullname == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._program, self._path, "exec", dont_inherit=True), module.__dict__)


class _Clock:
    """A plug-in that says what begins, a test or a fixture that tests share, and notes how long each test takes."""

    def __init__(self, begins: Callable[[str], object]) -> None:
        self._begins = begins
        self._test = ""
        self._users: dict[str, set[str]] = {}
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._test = function_of(item.nodeid)
        self._begins(self._test)
        for name in getattr(item, "fixturenames", ()):
            self._users.setdefault(name, set()).add(self._test)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        # It is made for the first test that asks for it, and belongs to all of them.
        self._begins(fixturedef.argname)
        try:
            return (yield)
        finally:
            self._begins(self._test)

    def tests(self, contexts: Iterable[str]) -> dict[str, float]:
        """The tests behind these names of tests and fixtures, with the seconds that each takes."""
        names = {test for name in contexts for test in self._users.get(name, {name})}
        return {name: self.seconds[name] for name in names if name in self.seconds}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = function_of(report.nodeid)
        self.seconds[test] = self.seconds.get(test, 0.0) + report.duration


class Trial(NamedTuple):
    noticed: bool
    took_s: float


def function_of(test: str) -> str:
    """The test function of a node id, whatever the parameters."""
    return test.split("[")[0]


def preload() -> None:
    """What the tests import from outside, once for all mutants. Nothing of the project: that is what changes."""
    import cv2
    import dagster
    import hypothesis
    import numpy
    import psycopg2
    import sqlalchemy
    from PIL import Image

    assert all((cv2, dagster, numpy, psycopg2, sqlalchemy, Image))
    # The same examples for every mutant, so that the same mutants are noticed at every run.
    hypothesis.settings.register_profile(
        "mutants", derandomize=True, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )


def reached_lines(files: Sequence[Path], tests: Sequence[str]) -> Reached:
    """Runs the tests once. Raises RuntimeError when one fails."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        answer, output = Path(folder) / "reached.json", Path(folder) / "output"
        if _in_child(lambda: _run_with_coverage(files, tests, answer), output, None) != 0:
            raise RuntimeError(f"the tests must pass before they are tried on mutants:\n{output.read_text()[-4000:]}")
        found: dict[str, dict[str, dict[str, float]]] = json.loads(answer.read_text())
    return {file: {int(line): by for line, by in lines.items()} for file, lines in found.items()}


def _run_with_coverage(files: Sequence[Path], tests: Sequence[str], answer: Path) -> int:
    import coverage

    measured = coverage.Coverage(data_file=None, include=[str(file) for file in files], config_file=False)
    clock = _Clock(measured.switch_context)
    measured.start()
    code = pytest.main([*_OPTIONS, *tests], plugins=[clock])
    measured.stop()
    data = measured.get_data()
    found = {
        str(file): {
            line: clock.tests(contexts) for line, contexts in data.contexts_by_lineno(str(file.resolve())).items()
        }
        for file in files
    }
    answer.write_text(json.dumps(found))
    return int(code)


def tried(path: Path, program: ast.Module, tests: Sequence[str], within_s: float) -> Trial:
    """Whether one of the tests fails, or all together take longer than `within_s`."""

    def run() -> int:
        sys.meta_path.insert(0, _Changed(path, program))
        return int(pytest.main([*_OPTIONS, *tests]))

    began_s = time.monotonic()
    code = _in_child(run, Path(os.devnull), within_s)
    return Trial(code != 0, time.monotonic() - began_s)


def _in_child(work: Callable[[], int], output: Path, within_s: float | None) -> int | None:
    """The exit code of a forked process; None when it was ended because it took too long."""

    def run() -> None:
        with output.open("w") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        sys.exit(work())

    child = _FORK.Process(target=run)
    child.start()
    child.join(within_s)
    if child.is_alive():
        child.kill()
        child.join()
        return None
    return child.exitcode
