"""SQL on the service's database, and a development server beside the service."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from resources.settings import Settings
from service import postgres, terminal
from service.__main__ import main
from service.running import is_embedded
from service.terminal import develop, sql


def test_a_statement_is_run_on_the_given_database_without_its_password_in_sight(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []
    run = terminal.run_in_terminal

    def look(command: Sequence[str], **options: Any) -> int:
        seen.extend(command)
        return run(command, **options)

    monkeypatch.setattr(terminal, "run_in_terminal", look)
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    monkeypatch.setenv("STATE_FOLDER", str(tmp_path))
    assert main(["sql", "-c", "SELECT 6 * 7 AS answer"]) == 0
    assert "42" in capfd.readouterr().out
    assert str(make_url(postgres_url).password) not in " ".join(seen)
    assert main(["sql", "-c", "SELECT 1 / 0"]) == 1
    assert "division by zero" in capfd.readouterr().err


def test_without_a_service_the_embedded_server_runs_only_for_the_statement(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(state_folder=tmp_path / "state", database_url=None)
    assert sql(settings, "SELECT current_user") == 0
    assert postgres.USER in capfd.readouterr().out
    assert postgres.running_port(tmp_path / "state" / "postgres") is None
    own = postgres.own_url(tmp_path / "state" / "postgres")
    assert is_embedded(Settings(state_folder=tmp_path / "state", database_url=own))
    assert not is_embedded(Settings(state_folder=tmp_path, database_url=own))


def test_the_development_server_has_a_database_an_instance_and_pictures_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Sequence[str], Mapping[str, str]]] = []

    def note(command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> int:
        assert postgres.running_port(tmp_path / "dev" / "postgres") == make_url(env["DATABASE_URL"]).port
        given.append((command, env))
        return 0

    monkeypatch.setattr(terminal, "run_in_terminal", note)
    assert develop(Settings(state_folder=tmp_path, database_url="postgresql://shop@live.example/ads")) == 0
    [(command, variables)] = given
    assert command[1] == "dev"
    assert variables["SENSOR_COPIES"] == "0"
    assert "live.example" not in " ".join(variables.values())
    for name, place in {"ASSET_ROOT": "assets", "DAGSTER_LOCAL_DIR": "dagster", "STATE_FOLDER": "."}.items():
        assert variables[name] == str(tmp_path / "dev" / place), name
    assert postgres.running_port(tmp_path / "dev" / "postgres") is None
