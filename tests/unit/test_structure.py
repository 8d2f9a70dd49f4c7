"""What the code promises about itself."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest

from resources.settings import PROJECT

HEAVY = {"torch", "transformers", "ultralytics", "paddleocr", "cv2", "onnxruntime", "rapidocr", "tesserocr", "skimage"}
OUTSIDE = {"dagster", "sqlalchemy", "psycopg2", "resources", "sensors", "os", "time", "random"}


def test_importing_the_definitions_loads_no_heavy_library_and_needs_no_environment() -> None:
    code = "import sys, variant_assets.definitions; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env={"PATH": ""}, capture_output=True, text=True, check=True
    )
    assert HEAVY & set(done.stdout.split()) == set()
    assert done.stderr == ""


@pytest.mark.parametrize("path", sorted((PROJECT / "variant_assets" / "stages").glob("*.py")), ids=lambda p: p.stem)
def test_a_stage_imports_nothing_from_outside(path: object) -> None:
    tree = ast.parse(path.read_text())  # type: ignore[attr-defined]
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert imported & OUTSIDE == set()


def test_every_direct_dependency_is_pinned_and_there_is_one_opencv() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    direct = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    lines = (PROJECT / "constraints.txt").read_text().split()
    pinned = {line.split("==")[0]: line for line in lines}
    names = [re.split(r"[<>=\[ ]", requirement)[0] for requirement in direct]
    assert [name for name in names if name not in pinned] == []
    assert [name for name in pinned if "opencv" in name] == ["opencv-contrib-python"]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!_-]+", line) for line in lines)


def test_the_assets_are_the_eight_stages_in_run_order() -> None:
    from tests.shop import STAGES as NAMES
    from variant_assets.assets import STAGES

    assert tuple(asset.key.to_user_string() for asset in STAGES) == NAMES
