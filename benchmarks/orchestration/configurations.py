"""The configurations that are compared, and the processes of each: code server and daemon, no webserver."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from resources.settings import PROJECT
from service import postgres
from service.running import environment, free_port, prepare_database
from service.state import Process, State
from service.supervisor import commands

STORAGE = """
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
TUNED = """
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {dequeue_interval_seconds: 1, dequeue_use_threads: true, dequeue_num_workers: 4}
concurrency: {pools: {granularity: run, default_limit: 3}}
sensors: {use_threads: true, num_workers: 4}
"""


@dataclass(frozen=True)
class Configuration:
    """A dagster.yaml, the module with the definitions, and settings."""

    name: str
    instance: str
    module: str = "benchmarks.orchestration.trivial"
    settings: dict[str, str] = field(default_factory=dict)


def configurations() -> tuple[Configuration, ...]:
    """Stock, tuned stock, and this repository as it is."""
    plain = {"SENSOR_COPIES": "0", "THROTTLE": "off"}
    return (
        Configuration("stock", STORAGE, "benchmarks.orchestration.stock", {**plain, "ORCHESTRATION": "stock"}),
        Configuration("tuned stock", STORAGE + TUNED, settings={**plain, "ORCHESTRATION": "stock"}),
        # Off, for the benchmark loads the machine on purpose.
        Configuration("ours", (PROJECT / "dagster.yaml").read_text(), settings={"THROTTLE": "off"}),
    )


@dataclass(frozen=True)
class Running:
    """A configuration at work, on a database of its own."""

    database_url: str
    code_server: psutil.Process
    daemon: psutil.Process
    server: psutil.Process

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far of each process with all its descendants, ended ones too."""
        trees = {"workers and code server": self.code_server, "daemon": self.daemon, "Postgres": self.server}
        return {name: _tree_cpu_s(process) for name, process in trees.items()}

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
def running(configuration: Configuration, folder: Path) -> Iterator[Running]:
    """The configuration's database, code server and daemon, from nothing; all are ended afterwards."""
    home = folder / "home"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text(configuration.instance)
    given = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    given |= {"STATE_FOLDER": str(folder), "ASSET_ROOT": str(folder / "assets"), **configuration.settings}
    variables = {**environment(given), "DAGSTER_HOME": str(home)}
    state = State(folder)
    prepare_database(variables["DATABASE_URL"])
    port = free_port(0)
    state.workspace.write_text(
        f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: job_variants}}\n"
    )
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name in ("code-server", "daemon"):
            command = [
                configuration.module if word == "variant_assets.definitions" else word
                for word in commands(port, 0, state.workspace)[name]
            ]
            with (state.logs / f"{name}.log").open("wb") as log:
                started.append(
                    subprocess.Popen(
                        command, cwd=PROJECT, env=variables, stdout=log, stderr=log, start_new_session=True
                    )
                )
            _settled(started[-1], port)
        server_pid = int((state.postgres / "data" / "postmaster.pid").read_text().splitlines()[0])
        code_server, daemon = (psutil.Process(process.pid) for process in started)
        yield Running(variables["DATABASE_URL"], code_server, daemon, psutil.Process(server_pid))
    finally:
        for process in reversed(started):
            if process.poll() is None:
                Process.of("benchmark", process.pid).end(patience_s=5.0)
            process.wait()
        postgres.stop(state.postgres)


def _settled(process: subprocess.Popen[bytes], port: int, within_s: float = 60.0) -> None:
    """Waits until the code server listens."""
    give_up_s = time.monotonic() + within_s
    while not any(each.laddr.port == port for each in psutil.net_connections("tcp") if each.status == "LISTEN"):
        if process.poll() is not None or time.monotonic() > give_up_s:
            raise RuntimeError(f"{process.args!r} does not come up")
        time.sleep(0.1)
