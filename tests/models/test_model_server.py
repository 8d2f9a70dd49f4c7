"""The shape to choose when several runs share a machine: one model server, here a real one, that all of them ask."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from resources.settings import Settings
from resources.vlm.endpoint import EndpointSettings, EndpointVision, ModelUnavailable
from service.demo import Demo
from service.running import environment, start, stop
from service.state import State
from testing.models import tiny_llava
from testing.models.cache import CACHE
from testing.models.model_server import model_server
from testing.models.taught_llava import taught

PICTURE = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def url(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with model_server(tmp_path_factory.mktemp("serve") / "serve.log") as served:
        yield served


@pytest.fixture(scope="module")
def model(libraries: None) -> str:
    return str(taught(CACHE))


def test_a_real_server_is_asked_and_its_answers_and_tokens_are_kept(url: str, model: str) -> None:
    vision = EndpointVision(EndpointSettings(url, model, "none"))
    vision.load()
    analysis = vision.analyze(PICTURE, "Nice coffee, 3,900")
    judgement = vision.judge(PICTURE, "커피 한 잔 3,900원", "coffee")
    assert (analysis.is_valid, analysis.relevance_score, analysis.issues) == (True, 0.8, ())
    assert (judgement.on_brief, judgement.occlusion, judgement.reasoning) == (True, False, "fine")
    assert judgement.model.parameters["attempts"] == 1
    assert int(str(judgement.model.parameters["completion_tokens"])) > 50


def test_three_variants_at_once_get_the_answers_they_get_one_by_one(url: str, model: str) -> None:
    vision = EndpointVision(EndpointSettings(url, model, "none", at_once=3))
    pictures = [PICTURE, PICTURE[:, ::-1].copy(), PICTURE[::-1].copy()]
    one_by_one = [vision.analyze(picture, "coffee") for picture in pictures]
    with ThreadPoolExecutor(3) as pool:
        at_once = list(pool.map(lambda picture: vision.analyze(picture, "coffee"), pictures))
    assert at_once == one_by_one


def test_a_model_that_talks_at_random_is_asked_three_times_and_never_believed(
    url: str, libraries: None, tmp_path: Path
) -> None:
    untaught = str(tiny_llava.make(tmp_path / "llava"))
    vision = EndpointVision(EndpointSettings(url, untaught, "none", max_tokens=40))
    with pytest.raises(ModelUnavailable, match="gave no answer of the asked form in 3 attempts"):
        vision.judge(PICTURE, "coffee", "coffee")


def test_runs_in_processes_of_their_own_share_one_server(url: str, model: str, tmp_path: Path) -> None:
    settings = Settings(
        database_url=None,
        state_folder=tmp_path / "state",
        asset_root=tmp_path / "assets",
        vlm="endpoint",
        vlm_url=url,
        vlm_model=model,
    )
    start(settings)
    state = State.of(settings)
    try:
        engine = create_engine(environment(settings)["DATABASE_URL"], poolclass=NullPool)
        demo = Demo(engine, settings.asset_root, state)
        demo.order()
        demo.generate()
        demo.watch()
        with engine.connect() as connection:
            traces = connection.execute(
                text("SELECT operation_type, request, response, latency_ms FROM vlm_traces WHERE is_current")
            ).all()
    finally:
        stop(state)
    assert sorted(trace.operation_type for trace in traces) == ["analyze"] * 3 + ["judge"] * 3
    for trace in traces:
        assert trace.response["model"]["provider"] == "endpoint"
        assert trace.response["model"]["parameters"]["prompt_tokens"] > 500
        assert trace.request["copy"]
        assert set(trace.request["image"]) == {"width_px", "height_px"}
        assert trace.latency_ms > 0
