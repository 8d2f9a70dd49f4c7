"""An instance is opened only with its environment, and a second daemon is kept out."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from orchestration import instance_guard
from orchestration.instance_guard import InstanceRefused, OneDaemonStorage
from orchestration.processes import PROCESS_VARIABLE
from orchestration.storage import PooledRunStorage
from resources.settings import PROJECT

DAEMON = ["/bin/dagster-daemon", "run"]
DEV_DAEMON = ["/lib/dagster/_daemon/__main__.py", "run", "--log-level", "info"]
DEV = [["/bin/dagster", "dev"], ["/bin/dg", "dev"], ["/lib/dagster/__main__.py", "dev"]]
REFUSAL = "a daemon works on this instance already"


@pytest.fixture(autouse=True)
def nothing_held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(PROCESS_VARIABLE, raising=False)
    held: dict[Path, int] = {}
    monkeypatch.setattr(instance_guard, "_held", held)
    yield
    for descriptor in held.values():
        os.close(descriptor)


@contextmanager
def another_daemon(folder: Path) -> Iterator[None]:
    """The lock as another process would hold it."""
    with (folder / "daemon.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def opened(folder: Path, command: list[str], monkeypatch: pytest.MonkeyPatch) -> OneDaemonStorage:
    monkeypatch.setattr(sys, "argv", command)
    return OneDaemonStorage.from_config_value(None, {"base_dir": str(folder), "way_out": "run `make dev`"})


@pytest.mark.parametrize("command", [DAEMON, DEV_DAEMON, *DEV], ids=" ".join)
def test_beside_a_daemon_neither_a_second_one_nor_dagster_dev_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    with another_daemon(tmp_path), pytest.raises(InstanceRefused, match=f"{REFUSAL}.*; run `make dev`"):
        opened(tmp_path, command, monkeypatch)
    assert opened(tmp_path, command, monkeypatch).base_dir == str(tmp_path)


@pytest.mark.parametrize("command", [["/bin/dagster", "asset", "list"], ["/bin/dagster", "api", "grpc"]], ids=" ".join)
def test_beside_a_daemon_other_commands_open_the_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    with another_daemon(tmp_path):
        assert opened(tmp_path, command, monkeypatch).base_dir == str(tmp_path)


def test_the_daemon_of_a_service_is_known_by_its_variable_and_may_open_its_instance_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROCESS_VARIABLE, "daemon")
    for _ in range(2):
        opened(tmp_path, ["/bin/python"], monkeypatch)
    monkeypatch.setattr(instance_guard, "_held", {})
    with pytest.raises(InstanceRefused, match=REFUSAL):
        opened(tmp_path, DAEMON, monkeypatch)


def test_dagster_dev_beside_a_daemon_ends_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(
        "local_artifact_storage:\n  module: orchestration.instance_guard\n  class: OneDaemonStorage\n"
        f"  config: {{base_dir: {tmp_path}, way_out: stop it}}\n"
    )
    command = [str(Path(sys.executable).parent / "dagster"), "dev", "--empty-workspace"]
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    with another_daemon(tmp_path):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.endswith(f"Error: {REFUSAL} ({tmp_path}/daemon.lock is locked); stop it\n")
    assert "Traceback" not in done.stderr


def test_the_instance_of_the_service_says_what_to_do_where_its_environment_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DAGSTER_DATABASE_URL", raising=False)
    with pytest.raises(InstanceRefused, match=r"DAGSTER_DATABASE_URL is not set; .*service env.*make dev"):
        dg.DagsterInstance.from_config(str(PROJECT))


def test_the_storages_keep_their_tables_in_the_schema_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOP_URL", "postgresql+psycopg2://shop@h/ads")
    given: list[str] = []
    monkeypatch.setattr(PooledRunStorage, "__init__", lambda self, postgres_url, **_: given.append(postgres_url))
    PooledRunStorage.from_config_value(None, {"url_variable": "SHOP_URL", "without_it": "", "schema": "runs"})
    PooledRunStorage.from_config_value(None, {"url_variable": "SHOP_URL", "without_it": ""})
    assert given == [
        "postgresql+psycopg2://shop@h/ads?options=-csearch_path%3Druns",
        "postgresql+psycopg2://shop@h/ads",
    ]
