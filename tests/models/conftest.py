"""The real libraries on small models made here. Without the models group these tests are an error, not skipped."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from testing.models.cache import CACHE, prepare_libraries

# Third-party libraries warn of their own doings; what we write still may not.
LIBRARY_WARNINGS = (
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::UserWarning",
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests come last: what their libraries leave to the garbage collector warns in no other test."""
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        for warning in LIBRARY_WARNINGS:
            item.add_marker(pytest.mark.filterwarnings(warning))
    items[:] = [*(item for item in items if item not in ours), *ours]


@pytest.fixture(scope="session", autouse=True)
def libraries() -> None:
    """The models group, importable; `make test` installs it, `make test-core` does without these tests."""
    prepare_libraries()
    from testing.models.cpu_torchvision import install

    install()


@pytest.fixture(scope="session")
def shapes_weights(libraries: None) -> Path:
    """A `.pt` that finds dishes (pizza) and cups."""
    from testing.models.shapes import trained

    return trained(CACHE)


@pytest.fixture(scope="session")
def outlines_weights(libraries: None) -> Path:
    """A `.pt` that finds the same and gives their masks."""
    from testing.models.shapes import trained

    return trained(CACHE, "segment")


@pytest.fixture(scope="session")
def shapes_onnx(shapes_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model exported."""
    import shutil

    from ultralytics import YOLO

    copy = tmp_path_factory.mktemp("onnx") / "shapes.pt"
    shutil.copy(shapes_weights, copy)
    with warnings.catch_warnings():
        # Tracing warns of every branch it cannot follow.
        warnings.simplefilter("ignore")
        return Path(YOLO(str(copy)).export(format="onnx", imgsz=128, verbose=False))
