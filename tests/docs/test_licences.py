"""The page of licences has every package that is pinned, with the licence that its metadata names."""

import subprocess
import sys

from resources.settings import PROJECT
from testing.pins import FILES, pins
from tests.docs.pages import Page


def test_every_pinned_package_has_its_licence_on_the_page() -> None:
    page = Page(PROJECT / "docs" / "licences.md").text
    for file in FILES:
        assert [name for name in pins(file) if f"| `{name}` |" not in page] == []
    assert "not installed |" not in page


def test_the_page_is_what_make_licences_writes() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/licences.py", "--check"], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
