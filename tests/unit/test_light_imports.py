"""Importing the resources loads no heavy library."""

import subprocess
import sys

import pytest

HEAVY = ("cv2", "onnxruntime", "rapidocr", "scipy", "skimage", "tesserocr", "torch", "transformers")
MODULES = (
    "resources.images",
    "resources.detector",
    "resources.vlm",
    "resources.ocr",
    "resources.ocr.embedded",
)


@pytest.mark.parametrize("module", MODULES)
def test_importing_a_resource_loads_no_heavy_library(module: str) -> None:
    check = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
