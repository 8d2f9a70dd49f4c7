"""A webserver of Dagster with an instance and a code location of its own, for tests from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

from resources.settings import PROJECT
from service.running import free_port

_STARTED_WITHIN_S = 120.0
_DEFINITIONS = """
import dagster as dg

@dg.asset
def bread() -> None: ...

defs = dg.Definitions(assets=[bread])
"""


@dataclass(frozen=True)
class Served:
    """A webserver that answers at this port of 127.0.0.1."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def query(self, query: str) -> Any:
        """The data of a GraphQL query, asked as a program asks."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["data"]

    def limits(self) -> set[str]:
        """The keys of the concurrency limits: what the mutations of the tests leave behind."""
        limits = self.query("{ instance { concurrencyLimits { concurrencyKey } } }")["instance"]["concurrencyLimits"]
        return {limit["concurrencyKey"] for limit in limits}

    def assets(self) -> set[str]:
        """The keys of the assets that have events."""
        nodes = self.query("{ assetsOrError { ... on AssetConnection { nodes { key { path } } } } }")["assetsOrError"]
        return {"/".join(node["key"]["path"]) for node in nodes["nodes"]}


def set_limit(key: str) -> str:
    """A mutation whose effect `limits` finds."""
    return f'mutation {{ setConcurrencyLimit(concurrencyKey: "{key}", limit: 1) }}'


def guarded(*options: str) -> list[str]:
    """The command of ours, but for port and workspace."""
    return [sys.executable, "-m", "orchestration.webserver", *options]


def stock() -> list[str]:
    """The command of Dagster's own, but for port and workspace."""
    return [str(Path(sys.executable).parent / "dagster-webserver")]


@contextmanager
def serving(command: Sequence[str], folder: Path) -> Iterator[Served]:
    """Starts the command on a free port and a new instance in the folder; ends it afterwards."""
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (folder / "definitions.py").write_text(_DEFINITIONS)
    workspace = folder / "workspace.yaml"
    workspace.write_text(f"load_from: [{{python_file: {{relative_path: {folder / 'definitions.py'}}}}}]\n")
    served = Served(free_port(0))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(served.port), "--workspace", str(workspace)],
            cwd=PROJECT,
            env={**os.environ, "DAGSTER_HOME": str(folder)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_it_answers(served, process, folder / "log")
        yield served
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_answers(served: Served, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_s = time.monotonic() + _STARTED_WITHIN_S
    while True:
        try:
            served.query("{ version }")
        except (URLError, ConnectionError):
            if process.poll() is not None or time.monotonic() > give_up_s:
                raise RuntimeError(f"{process.args!r} does not answer: {log.read_text()}") from None
            time.sleep(0.1)
        else:
            return
