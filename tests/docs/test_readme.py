"""The README is short, and its Korean twin says the same."""

from __future__ import annotations

import re

from resources.settings import PROJECT
from tests.docs.pages import Page

README = Page(PROJECT / "README.md")
KOREAN = Page(PROJECT / "README.ko.md")


def test_the_readmes_have_at_most_150_lines() -> None:
    assert all(len(page.text.splitlines()) <= 150 for page in (README, KOREAN))


def test_both_readmes_have_the_same_commands() -> None:
    assert README.commands == KOREAN.commands
    assert [block.code for block in README.blocks if block.language == "sql"] == [
        block.code for block in KOREAN.blocks if block.language == "sql"
    ]


def test_both_readmes_have_the_same_links_but_for_those_to_one_another() -> None:
    assert set(README.links) - {"README.ko.md"} == set(KOREAN.links) - {"README.md"}


def test_both_readmes_have_the_same_sections_and_names() -> None:
    assert len(README.anchors) == len(KOREAN.anchors)
    spans = [set(re.findall(r"`([^`\n]+)`", page.prose)) for page in (README, KOREAN)]
    assert spans[0] == spans[1]


def test_both_readmes_have_the_same_figures() -> None:
    english, korean = (sorted(re.findall(r"\d+(?:\.\d+)*", page.prose)) for page in (README, KOREAN))
    assert english == korean
