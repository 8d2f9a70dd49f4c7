"""transformers with a LLaVA of random weights: whatever it says, it says it in the asked form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from resources.vlm.local import LocalSettings, LocalVision
from stages.values import StageError

PICTURE = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from testing.models.tiny_llava import make

    torch.set_num_threads(1)
    return make(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def vision(folder: Path) -> LocalVision:
    return LocalVision(LocalSettings(str(folder), device="cpu", dtype="float32"))


def test_an_analysis_parses_and_tells_which_weights_gave_it(vision: LocalVision) -> None:
    analysis = vision.analyze(PICTURE, "A cup of coffee")
    assert analysis.relevance_score is not None
    assert analysis.model.revision.startswith("sha256:")
    assert analysis.model.parameters["prompt"] == "analyze.v1"
    assert int(str(analysis.model.parameters["completion_tokens"])) > 50


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"VLM_MODEL=.*llava does not exist"):
        LocalVision(LocalSettings(str(tmp_path / "llava"))).analyze(PICTURE, "coffee")
