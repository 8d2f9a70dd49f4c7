"""Models loaded before the first run, in the process that runs are forked from."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from resources.settings import Settings
from service.demo import Demo
from service.running import environment, start, stop
from service.state import State
from testing.models.cache import CACHE
from testing.models.cpu_torchvision import hidden_in_children
from testing.models.taught_llava import taught
from testing.processes import fork_servers


def fork_server(state: State) -> psutil.Process:
    record = state.record()
    assert record is not None
    [daemon] = [process for process in record.processes if process.name == "daemon"]
    [server] = fork_servers(psutil.Process(daemon.pid))
    return server


def test_every_run_has_the_model_of_the_process_it_is_forked_from_and_its_answers(
    libraries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in hidden_in_children(tmp_path).items():
        monkeypatch.setenv(name, value)
    settings = Settings(
        database_url=None,
        state_folder=tmp_path / "state",
        asset_root=tmp_path / "assets",
        vlm="local",
        vlm_model=str(taught(CACHE)),
        vlm_device="cpu",
    )
    start(settings)
    state = State.of(settings)
    try:
        engine = create_engine(environment(settings)["DATABASE_URL"], poolclass=NullPool)
        demo = Demo(engine, settings.asset_root, state)
        demo.order()
        demo.generate()
        demo.watch()
        server = fork_server(state)
        with engine.connect() as connection:
            traces = connection.execute(
                text("SELECT response, latency_ms FROM vlm_traces WHERE is_current ORDER BY latency_ms")
            ).all()
        loaded = {Path(each.path).name for each in server.memory_maps()}
    finally:
        stop(state)
    assert any(name.startswith("libtorch") for name in loaded)
    assert [trace.response["model"]["provider"] for trace in traces] == ["transformers"] * 6
