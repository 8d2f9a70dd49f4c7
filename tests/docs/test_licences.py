"""The page of licences has every package that is pinned, with the licence that its metadata names."""

import subprocess
import sys

from resources.settings import PROJECT
from tests.docs.pages import Page


def test_every_pinned_package_has_its_licence_on_the_page() -> None:
    page = Page(PROJECT / "docs" / "licences.md").text
    for constraints in ("constraints.txt", "constraints-models.txt"):
        names = [line.split("==")[0] for line in (PROJECT / constraints).read_text().split()]
        assert [name for name in names if f"| `{name}` |" not in page] == []
    assert "not installed |" not in page


def test_the_page_is_what_make_licences_writes() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/licences.py", "--check"], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
