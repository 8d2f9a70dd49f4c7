"""Keeps the processes of the service alive: a code server, and a daemon and a webserver that share it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from resources.settings import PROJECT, STATE
from service import postgres

LOGS = STATE / "logs"
RECORD = STATE / "service.json"
_WORKSPACE = STATE / "workspace.yaml"
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True)
class Process:
    """A process that is certainly ours: its id may be reused, its id and start time together are not."""

    name: str
    pid: int
    created_s: float

    @classmethod
    def of(cls, name: str, pid: int) -> Process:
        return cls(name, pid, psutil.Process(pid).create_time())

    def is_alive(self) -> bool:
        try:
            found = psutil.Process(self.pid)
            return bool(found.create_time() == self.created_s and found.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def end(self, patience_s: float = 15.0) -> None:
        """Asks the whole process group to end, then insists."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if not self.is_alive():
                return
            os.killpg(self.pid, sign)
            give_up_s = time.monotonic() + patience_s
            while self.is_alive() and time.monotonic() < give_up_s:
                time.sleep(0.05)


@dataclass(frozen=True)
class Record:
    """What runs, for whoever has to stop it."""

    url: str
    embedded_postgres: bool
    processes: tuple[Process, ...]

    def write(self) -> None:
        unfinished = RECORD.with_suffix(".new")
        unfinished.write_text(json.dumps(asdict(self), indent=2))
        unfinished.replace(RECORD)

    @classmethod
    def read(cls) -> Record | None:
        if not RECORD.exists():
            return None
        values = json.loads(RECORD.read_text())
        return cls(**{**values, "processes": tuple(Process(**process) for process in values["processes"])})


def commands(code_port: int, web_port: int) -> dict[str, list[str]]:
    """The three processes by name, in the order in which they start."""
    tools = Path(sys.executable).parent
    workspace = ["-w", str(_WORKSPACE)]
    return {
        "code-server": [
            *(str(tools / "dagster"), "api", "grpc", "--host", "127.0.0.1", "--port", str(code_port)),
            *("--module-name", "variant_assets.definitions", "--working-directory", str(PROJECT)),
            *("--location-name", "job_variants"),
        ],
        "daemon": [str(tools / "dagster-daemon"), "run", *workspace],
        "webserver": [str(tools / "dagster-webserver"), "-h", "127.0.0.1", "-p", str(web_port), *workspace],
    }


def write_workspace(code_port: int) -> None:
    _WORKSPACE.write_text(
        f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {code_port}, location_name: job_variants}}\n"
    )


class Supervisor:
    """Starts the processes and starts again what ends, after a pause that grows while it keeps ending."""

    def __init__(self, code_port: int, web_port: int, *, embedded_postgres: bool) -> None:
        self._commands = commands(code_port, web_port)
        self._code_port = code_port
        self._url = f"http://127.0.0.1:{web_port}"
        self._embedded_postgres = embedded_postgres
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._pause_s = dict.fromkeys(self._commands, 1.0)
        self._next_start_s = dict.fromkeys(self._commands, 0.0)
        self._stopping = threading.Event()

    def run(self) -> None:
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, lambda *_: self._stopping.set())
        while not self._stopping.is_set():
            if self._embedded_postgres and postgres.running_port(postgres.FOLDER) is None:
                postgres.start()
            self._keep("code-server")
            # A daemon that does not find its code server looks again only after a minute.
            if _listens(self._code_port):
                self._keep("daemon")
                self._keep("webserver")
            self._stopping.wait(0.25)
        self._end_all()

    def _keep(self, name: str) -> None:
        child = self._children.get(name)
        now_s = time.monotonic()
        if (child is not None and child.poll() is None) or now_s < self._next_start_s[name]:
            return
        if child is not None:
            print(f"{name} ended with {child.returncode}; it starts again", flush=True)
            self._pause_s[name] = min(self._pause_s[name] * 2, _LONGEST_PAUSE_S)
        self._next_start_s[name] = now_s + self._pause_s[name]
        with (LOGS / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                self._commands[name],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._record()

    def _record(self) -> None:
        alive = [(name, child.pid) for name, child in self._children.items() if child.poll() is None]
        processes = [Process.of("supervisor", os.getpid()), *(Process.of(name, pid) for name, pid in alive)]
        Record(self._url, self._embedded_postgres, tuple(processes)).write()

    def _end_all(self) -> None:
        # The daemon first, so that nothing new starts; run workers end with the code server that started them.
        for name in ("daemon", "webserver", "code-server"):
            child = self._children.get(name)
            if child is not None and child.poll() is None:
                Process.of(name, child.pid).end()


def main() -> None:
    code_port, web_port, embedded = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "embedded"
    write_workspace(code_port)
    Supervisor(code_port, web_port, embedded_postgres=embedded).run()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
