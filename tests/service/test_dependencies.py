"""pyproject.toml says what is used and why, constraints.txt pins everything; what the code imports is in both."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from resources.settings import PROJECT

OURS = {"benchmarks", "resources", "sensors", "service", "tests", "variant_assets"}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    lines = (PROJECT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines)


def direct() -> set[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    requirements = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    return {re.split(r"[<>=!~]", requirement)[0] for requirement in requirements}


def imported() -> set[str]:
    found = set()
    for folder in OURS:
        for path in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    found.add(node.module.split(".")[0])
    return found - OURS - sys.stdlib_module_names


def test_every_direct_dependency_is_pinned() -> None:
    assert direct() <= set(pinned())


def test_every_package_that_the_code_imports_is_a_direct_dependency() -> None:
    distributions = packages_distributions()
    undeclared = {
        module
        for module in imported()
        if not direct() & {normalised(name) for name in distributions.get(module, [module])}
    }
    assert undeclared == set()


def test_there_is_one_opencv_only() -> None:
    assert [name for name in pinned() if name.startswith("opencv")] == ["opencv-contrib-python"]


def test_the_lock_names_exact_versions_and_no_host() -> None:
    for line in (PROJECT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), line
