"""What the papers name exists: commands, modules, files, settings, links, and the program's own words."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec

import pytest

from resources.settings import PROJECT, SettingError, Settings
from tests.docs.pages import Page, pages

PAGES = pages()
SETTINGS = {name.upper() for name in Settings.model_fields}
# Names in capitals that a reader sets outside this project.
FOREIGN = {"NAME", "PATH", "PYTHON"}
WRITTEN_BY_THE_READER = {"stages/my_stage.py", "sql/migrations/NNNN_what_it_does.sql"}
OURS = ("orchestration", "resources", "sensors", "service", "sql", "stages", "variant_assets")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def test_the_papers_are_where_the_readme_says() -> None:
    assert {"README.md", "README.ko.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/contract.md"} <= {
        page.name for page in PAGES
    }


@every_page
def test_every_make_target_exists(page: Page) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", page.code)) - targets == set()


@every_page
def test_every_module_that_is_run_exists(page: Page) -> None:
    modules = set(re.findall(r"python -m ([\w.]+\w)", page.code))
    assert [name for name in modules if not _is_runnable(name)] == []


@every_page
def test_every_file_that_is_named_exists(page: Page) -> None:
    named = set(re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?|[\w-]+/|[\w-]+\.(?:toml|txt|yaml))`", page.prose))
    ours = {name for name in named if (PROJECT / name.split("/")[0]).exists() and not name.startswith(".")}
    assert {name for name in ours if not (PROJECT / name).exists()} - WRITTEN_BY_THE_READER == set()


@every_page
def test_every_setting_exists(page: Page) -> None:
    named = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\b[A-Z]+(?==)", page.code))
    assert named - SETTINGS - FOREIGN - _names_in_the_code() == set()


@every_page
def test_every_value_that_a_setting_is_given_is_allowed(page: Page) -> None:
    given = re.findall(r"\b([A-Z][A-Z0-9_]*)=([^\s`;,']+)", page.code)
    for name, value in given:
        if name in SETTINGS and "…" not in value:
            Settings.from_environment({"DATABASE_URL": "postgresql://nobody@localhost/none", name: value})


@every_page
def test_every_relative_link_leads_to_a_file_and_an_anchor(page: Page) -> None:
    for link in page.links:
        assert not link.startswith("http"), link
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        assert target.is_file(), link
        assert not anchor or anchor in Page(target).anchors, link


@every_page
def test_every_shell_block_is_well_formed(page: Page) -> None:
    for block in page.blocks:
        if block.language == "bash":
            done = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr


def test_every_message_of_the_troubleshooting_is_one_of_the_program() -> None:
    [operations] = [page for page in PAGES if page.name == "docs/operations.md"]
    troubleshooting = operations.text.split("## Troubleshooting")[1]
    quoted = {
        span
        for row in re.findall(r"^\| (.+?) \|", troubleshooting, re.MULTILINE)
        for span in re.findall(r"`(.+?)`", row)
    }
    messages = {span for span in quoted if " " in span}
    known = "\n".join([*_messages(), _message_of_a_wrong_choice()])
    assert len(messages) > 20
    assert {message for message in messages if _plain(message) not in known} == set()


def _messages() -> Iterator[str]:
    """All texts of the program, with … for what it fills in."""
    for folder in OURS:
        for path in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    yield _plain("".join(_part(part) for part in node.values))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield _plain(node.value)
    for path in (PROJECT / "sql").rglob("*.sql"):
        yield _plain(re.sub(r"%s?", "…", " ".join(path.read_text(encoding="utf-8").split())))
    yield _plain(re.sub(r"\$\{[^}]*\}|\$\w+", "…", (PROJECT / "scripts" / "setup").read_text(encoding="utf-8")))


def _message_of_a_wrong_choice() -> str:
    """It is put together from parts that the code names elsewhere."""
    with pytest.raises(SettingError) as refused:
        Settings.from_environment({"VLM": "gpt"})
    return str(refused.value)


def _part(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "…"


def _plain(message: str) -> str:
    """Without what is filled in, and without the quotation marks around it."""
    return re.sub(r"['\"]*…['\"]*", "…", message).strip("…")


def _is_runnable(name: str) -> bool:
    spec = find_spec(name)
    return spec is not None and (spec.submodule_search_locations is None or find_spec(f"{name}.__main__") is not None)


@cache
def _names_in_the_code() -> frozenset[str]:
    """The names in capitals in the code and in the files that configure it."""
    files = [path for folder in OURS for path in (PROJECT / folder).rglob("*") if path.suffix in {".py", ".sql"}]
    files += [PROJECT / "Makefile", PROJECT / "dagster.yaml", *PROJECT.glob("*.toml")]
    return frozenset(word for path in files for word in re.findall(r"\b[A-Z][A-Z0-9_]*\b", path.read_text()))
