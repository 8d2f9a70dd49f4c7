"""Dagster's private names stand in one file, each with its reason."""

import re
from pathlib import Path

import pytest

from resources.settings import PROJECT

LIBRARY = Path("orchestration/_dagster.py")
TESTS = Path("testing/forking/_dagster.py")


def python_files() -> list[Path]:
    rooms = [path.parent for path in PROJECT.glob("*/__init__.py")]
    return sorted(path.relative_to(PROJECT) for room in rooms for path in room.rglob("*.py"))


def test_private_modules_of_dagster_are_named_in_one_file_and_those_of_the_tests_in_another() -> None:
    private = re.compile(r"\bdagster\._\w")
    naming = {path for path in python_files() if private.search((PROJECT / path).read_text(encoding="utf-8"))}
    assert naming == {LIBRARY, TESTS}


@pytest.mark.parametrize("path", [LIBRARY, TESTS], ids=str)
def test_every_import_of_private_names_says_why(path: Path) -> None:
    blocks = (PROJECT / path).read_text().split("\n\n")
    importing = [block for block in blocks if "from dagster._" in block]
    assert importing
    assert [block for block in importing if not re.search(r"^ *# [A-Z].+\.$", block, re.MULTILINE)] == []
