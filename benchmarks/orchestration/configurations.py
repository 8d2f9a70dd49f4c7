"""The configurations that are compared, and the processes of each: code server and daemon, no webserver."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from orchestration.processes import PROCESS_VARIABLE
from resources.images import png
from resources.settings import PROJECT, Settings
from service import postgres
from service.code_socket import code_socket, listens, remove_code_socket
from service.database import prepare_database
from service.demo import generated_images
from service.running import environment
from service.shop import store
from service.state import Process, State
from service.supervisor import commands, workspace_yaml
from testing.waiting import until

AT_A_TIME = 3
"""Variants; the default limit of the pool."""

_STORAGE = """
storage: {postgres: {postgres_url: {env: DAGSTER_DATABASE_URL}}}
local_artifact_storage:
  module: dagster.core.storage.root
  class: LocalArtifactStorage
  config: {base_dir: {env: DAGSTER_LOCAL_DIR}}
compute_logs:
  module: dagster.core.storage.local_compute_log_manager
  class: LocalComputeLogManager
  config: {base_dir: {env: DAGSTER_LOCAL_DIR}}
telemetry: {enabled: false}
"""
_TUNED = """
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {dequeue_interval_seconds: 1, dequeue_use_threads: true, dequeue_num_workers: 4}
concurrency: {pools: {granularity: run, default_limit: 3}}
sensors: {use_threads: true, num_workers: 4}
"""


@dataclass(frozen=True)
class StageSet:
    """Stages to run: the modules of their definitions, with this repository's sensors and with the plain one."""

    name: str
    definitions: str
    plain_definitions: str
    assets: str
    has_pictures: bool
    stream_every_s: float

    def pictures(self, asset_root: Path) -> list[str]:
        """The URLs of the pictures that variants have, stored below the folder; none where no stage reads one."""
        if not self.has_pictures:
            return []
        urls = [f"/assets/ye/tenants/bench/generated/{number}.png" for number in range(1, 4)]
        for url, image in zip(urls, generated_images(), strict=True):
            store(asset_root, url, png(image))
        return urls


STAGE_SETS = (
    StageSet(
        "trivial", "benchmarks.orchestration.trivial", "benchmarks.orchestration.trivial_plain",
        "benchmarks.orchestration.trivial", has_pictures=False, stream_every_s=3.0,
    ),
    StageSet(
        "embedded", "variant_assets.definitions", "benchmarks.orchestration.embedded_plain",
        "variant_assets.assets", has_pictures=True, stream_every_s=8.0,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Configuration:
    """A dagster.yaml, settings, which sensors, and the share of the full size that is measured: the slow take long."""

    name: str
    instance: str
    settings: dict[str, Any]
    plain_sensor: bool = False
    share: float = 1.0

    def module(self, stages: StageSet) -> str:
        return stages.plain_definitions if self.plain_sensor else stages.definitions

    def dagster_yaml(self, stages: StageSet) -> str:
        """The text; a run launcher of our own is told which definitions it forks."""
        content: dict[str, Any] = yaml.safe_load(self.instance)
        if "run_launcher" in content:
            content["run_launcher"]["config"]["module"] = self.module(stages)
        return str(yaml.safe_dump(content, sort_keys=False))


def configurations() -> tuple[Configuration, ...]:
    """Stock, tuned stock, and this repository as it is."""
    polls = {"sensor_copies": 0, "throttle": "off", "orchestration": "stock"}
    return (
        Configuration("stock", _STORAGE, polls, plain_sensor=True, share=0.1),
        Configuration("tuned stock", _STORAGE + _TUNED, polls, share=0.2),
        # Off, for the benchmark loads the machine on purpose.
        Configuration("ours", (PROJECT / "dagster.yaml").read_text(), {"throttle": "off"}),
    )


@dataclass(frozen=True)
class Running:
    """A configuration at work, on a database of its own."""

    variables: dict[str, str]
    code_server: psutil.Process
    daemon: psutil.Process
    server: psutil.Process
    server_log: Path

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far, of ended processes too. Workers are all that code server and daemon have started."""
        code_server_s, daemon_s = _own_cpu_s(self.code_server), _own_cpu_s(self.daemon)
        return {
            "workers": _tree_cpu_s(self.code_server) + _tree_cpu_s(self.daemon) - code_server_s - daemon_s,
            "code server": code_server_s,
            "daemon": daemon_s,
            "Postgres": _tree_cpu_s(self.server),
        }

    def statements(self) -> int:
        """How many the database server has logged so far; it does so only where it is told to."""
        with self.server_log.open("rb") as log:
            return sum(b"LOG:  statement: " in line for line in log)

    def look_ms(self) -> float:
        """How long a tick's look at the tables takes while nothing is to do, and with something; median of many."""
        told = subprocess.run(
            [sys.executable, "-m", "benchmarks.orchestration.tick_cost"],
            cwd=PROJECT, env=self.variables, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return float(told.stdout.splitlines()[-1])

    def memory_mb(self) -> float:
        """Resident memory of everything, shared pages counted in each process that has them."""
        total = 0.0
        for process in (self.code_server, self.daemon, self.server):
            for each in (process, *process.children(recursive=True)):
                try:
                    total += each.memory_info().rss / 1e6
                except psutil.NoSuchProcess:
                    continue
        return total


def _own_cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _tree_cpu_s(root: psutil.Process) -> float:
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            # Its parent counts it from now on.
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return float(total)


@contextmanager
def running(configuration: Configuration, stages: StageSet, folder: Path) -> Iterator[Running]:
    """The configuration's database, code server and daemon, from nothing; all are ended afterwards."""
    home = folder / "home"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text(configuration.dagster_yaml(stages))
    settings = Settings(database_url=None, state_folder=folder, asset_root=folder / "assets", **configuration.settings)
    # The benchmarks are no part of the installed project, so the processes find them only with this.
    variables = {**environment(settings), "DAGSTER_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    state = State.of(settings)
    prepare_database(variables["DATABASE_URL"])
    # While the asset root is empty, as a mount point is before it is mounted, variants wait.
    (folder / "assets" / "ye").mkdir(parents=True, exist_ok=True)
    socket = code_socket(state.folder)
    state.workspace.write_text(workspace_yaml(socket))
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name in ("code-server", "daemon"):
            command = [
                configuration.module(stages) if word == "variant_assets.definitions" else word
                for word in commands(socket, 0, state.workspace)[name]
            ]
            own = {**variables, PROCESS_VARIABLE: name}
            with (state.logs / f"{name}.log").open("wb") as log:
                started.append(
                    subprocess.Popen(
                        command,
                        cwd=state.working_folder,
                        env=own,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
            _settled(started[-1], socket)
        server_pid = int((state.postgres / "data" / "postmaster.pid").read_text().splitlines()[0])
        code_server, daemon = (psutil.Process(process.pid) for process in started)
        if "run_launcher" in configuration.instance:
            _require_fork_server(state.logs / "daemon.log")
        yield Running(variables, code_server, daemon, psutil.Process(server_pid), state.postgres / "log")
    finally:
        for process in reversed(started):
            if process.poll() is None:
                Process.of("benchmark", process.pid).end(patience_s=5.0)
            process.wait()
        postgres.stop(state.postgres)
        remove_code_socket(state.folder)


def _require_fork_server(log: Path, within_s: float = 10.0) -> None:
    """Raises RuntimeError where the launcher says that it cannot fork: the figures would be those of another path."""
    ends_at = time.monotonic() + within_s
    while time.monotonic() < ends_at:
        if "no fork server" in log.read_text():
            raise RuntimeError(f"runs would not be forked; see {log.read_text()}")
        time.sleep(0.5)


def _settled(process: subprocess.Popen[bytes], socket: Path, within_s: float = 60.0) -> None:
    """Waits until the code server listens."""

    def works() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        return listens(socket)

    until(f"{process.args!r} listens on {socket}", works, within_s=within_s, every_s=0.1)
