"""What the code promises about itself."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from resources.settings import PROJECT
from testing.pins import FILES, pins

HEAVY = {"torch", "transformers", "ultralytics", "paddleocr", "cv2", "onnxruntime", "rapidocr", "tesserocr", "skimage"}
OUTSIDE = {"dagster", "sqlalchemy", "psycopg2", "resources", "sensors", "os", "time", "random"}


def test_importing_the_definitions_loads_no_heavy_library_and_needs_no_environment() -> None:
    code = "import sys, variant_assets.definitions; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env={"PATH": ""}, capture_output=True, text=True, check=True
    )
    assert HEAVY & set(done.stdout.split()) == set()
    assert done.stderr == ""


def imported_modules(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {
        node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }


def imports(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in it."""
    return {name.split(".")[0] for name in imported_modules(path)}


@pytest.mark.parametrize("path", sorted((PROJECT / "stages").rglob("*.py")), ids=lambda p: p.stem)
def test_a_stage_imports_nothing_from_outside(path: Path) -> None:
    assert imports(path) & OUTSIDE == set()


def test_every_direct_dependency_is_pinned_and_there_is_one_opencv() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    direct = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    pinned = pins("constraints.txt")
    names = [re.split(r"[<>=\[ ]", requirement)[0] for requirement in direct]
    assert [name for name in names if name not in pinned] == []
    assert [name for name in pinned if "opencv" in name] == ["opencv-contrib-python"]


def test_every_pinned_package_has_its_digests_except_torch_which_machines_build_themselves() -> None:
    without = {name for file in FILES for name, pin in pins(file).items() if not pin.digests}
    assert without == {"torch", "torchvision"} == set(pins("constraints-torch.txt"))


def test_no_package_is_pinned_twice() -> None:
    names = [name for file in FILES for name in pins(file)]
    assert len(names) == len(set(names))


def test_every_package_that_the_code_imports_is_a_direct_dependency() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    direct = {re.split(r"[<>=\[ ]", each)[0] for each in project["project"]["dependencies"]}
    direct |= {re.split(r"[<>=\[ ]", each)[0] for each in project["dependency-groups"]["dev"]}
    direct |= pins("constraints-models.txt").keys() | pins("constraints-torch.txt").keys()
    ours = {path.parent.name for path in PROJECT.glob("*/__init__.py")}
    imported = {module for folder in ours for path in (PROJECT / folder).rglob("*.py") for module in imports(path)}
    known = packages_distributions()
    outside = {module: known.get(module, [module]) for module in imported - ours - sys.stdlib_module_names}
    assert [module for module, names in outside.items() if not direct & {name.lower() for name in names}] == []


def test_no_test_imports_another_and_none_imports_a_conftest() -> None:
    tests = {
        ".".join(path.relative_to(PROJECT).with_suffix("").parts)
        for pattern in ("test_*.py", "conftest.py")
        for path in (PROJECT / "tests").rglob(pattern)
    }
    for folder in ("tests", "testing", "benchmarks"):
        for path in (PROJECT / folder).rglob("*.py"):
            assert imported_modules(path) & tests == set(), path


def test_the_assets_are_the_eight_stages_in_run_order() -> None:
    from stages.pipeline import STAGE_NAMES
    from variant_assets.assets import STAGES

    assert tuple(asset.key.to_user_string() for asset in STAGES) == STAGE_NAMES
