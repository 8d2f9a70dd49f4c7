"""Dagster's resources: their configuration, and that a process builds each object once."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from resources import wiring
from resources.detector.saliency import SaliencyDetector
from resources.loading.availability import findings
from resources.ocr.embedded import EmbeddedOcr
from resources.postgres.database import Database
from resources.settings import Settings
from resources.vlm.measured import MeasuredVision
from resources.wiring import dagster_resources, preload
from stages.type.fonts import Fonts
from stages.values import StageError

DATABASE = "postgresql://shop:db-secret@db.example:5433/ads"


@pytest.fixture(autouse=True)
def nothing_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "_built", {})


def given_to_runs(settings: Settings, *names: str, runs: int = 1) -> list[dict[str, Any]]:
    """What the resources of these names are in each of the runs."""
    seen: list[dict[str, Any]] = []

    @dg.op(required_resource_keys=set(names))
    def look(context: dg.OpExecutionContext) -> None:
        seen.append({name: getattr(context.resources, name) for name in names})

    @dg.job(resource_defs=dict(dagster_resources(settings)))
    def job() -> None:
        look()

    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(runs):
            assert job.execute_in_process(instance=instance).success
    return seen


def test_the_configuration_names_backend_model_and_asset_root() -> None:
    resources = dagster_resources(
        Settings(asset_root="/srv/assets", vlm="local", vlm_model="llava-hf/llava-1.5-7b-hf", vlm_device="cpu")
    )
    assert {name: type(resource).__name__ for name, resource in resources.items()} == {
        "db": "PostgresResource",
        "images": "ImageStoreResource",
        "vision": "LocalVisionResource",
        "detector": "SaliencyDetectorResource",
        "ocr": "EmbeddedOcrResource",
        "fonts": "FontsResource",
        "limits": "StageLimits",
        "sensor_settings": "SensorSettings",
    }
    assert resources["images"].model_dump()["asset_root"] == "/srv/assets"
    assert resources["vision"].model_dump() == {
        "backend": "local",
        "model": "llava-hf/llava-1.5-7b-hf",
        "device": "cpu",
        "quantization": "none",
    }


def test_the_configuration_holds_the_variables_of_secrets_and_a_run_their_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(database_url=DATABASE, vlm="endpoint", vlm_api_key="key-secret")
    assert "secret" not in repr(dagster_resources(settings))
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    monkeypatch.setenv("VLM_API_KEY", "key-secret")
    given: list[str] = []
    monkeypatch.setattr(wiring, "EndpointVision", lambda endpoint: given.append(endpoint.api_key))
    monkeypatch.setattr(wiring, "Database", given.append)
    given_to_runs(settings, "db", "vision")
    assert sorted(given) == ["key-secret", "postgresql+psycopg2://shop:db-secret@db.example:5433/ads"]


def test_a_password_in_the_url_of_the_model_server_reaches_the_client_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, Any] = {
        "vlm_url": "https://shop:url-secret@vlm.example/v1",
        "vlm_proxy": "http://shop:proxy-secret@proxy:3128",
    }
    settings = Settings(vlm="endpoint", **given)
    shown = [repr(settings), repr(dagster_resources(settings)), str(findings(settings)["VLM=endpoint"])]
    assert [text for text in shown if "secret" in text] == []
    assert all("vlm.example/v1" in text for text in shown[1:])
    for name, value in settings.secrets().items():
        monkeypatch.setenv(name.upper(), value)
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(
        wiring, "EndpointVision", lambda endpoint: seen.append({"vlm_url": endpoint.url, "vlm_proxy": endpoint.proxy})
    )
    given_to_runs(settings, "vision")
    assert seen == [given]


def test_a_server_that_wants_no_key_needs_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLM_API_KEY", raising=False)
    [given] = given_to_runs(Settings(vlm="endpoint", vlm_api_key=None, vlm_model="llava"), "vision")
    assert given["vision"].info.model == "llava"


def test_two_runs_in_one_process_share_each_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    first, second = given_to_runs(Settings(), "db", "images", "vision", "detector", "ocr", "fonts", runs=2)
    assert isinstance(first["db"], Database)
    assert isinstance(first["fonts"], Fonts)
    assert [name for name in first if first[name] is not second[name]] == []


def test_another_configuration_is_another_object() -> None:
    [here], [there] = (
        given_to_runs(Settings(asset_root=root), "images", "vision") for root in ("/srv/here", "/srv/there")
    )
    assert here["images"] is not there["images"]
    assert here["vision"] is there["vision"]


def test_what_cannot_be_built_gives_its_reason_to_whoever_uses_it_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings(font_folders=(tmp_path / "unmounted",))
    [given] = given_to_runs(settings, "fonts", "detector")
    assert isinstance(given["detector"], SaliencyDetector)
    with pytest.raises(StageError, match="unmounted does not exist; install a Hangul font"):
        given["fonts"].choose("sans")
    (tmp_path / "unmounted").symlink_to("/usr/share/fonts")
    assert given["fonts"].choose("sans").family


def test_runs_use_what_was_preloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[object] = []
    for backend in (MeasuredVision, SaliencyDetector, EmbeddedOcr):
        monkeypatch.setattr(backend, "load", lambda self: loaded.append(self))
    assert preload(Settings(), to_be_forked=True) == []
    [given] = given_to_runs(Settings(), "vision", "detector", "ocr")
    assert loaded == [given["vision"], given["detector"], given["ocr"]]
