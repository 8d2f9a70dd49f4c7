"""Keeps the processes of the service alive: a code server, and a daemon and a webserver that share it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from orchestration.processes import PROCESS_VARIABLE
from resources.postgres.database import Database
from resources.settings import PROJECT, Settings
from service import postgres
from service.code_socket import code_socket, listens
from service.lease import AnotherServiceError, Holder, KeptLease
from service.logs import shorten_logs
from service.state import UMASK, Process, Record, State

_LONGEST_PAUSE_S = 30.0
_DATABASE_PAUSE_S = 5.0


def commands(
    code_socket: Path, web_port: int, workspace: Path, web_options: Sequence[str] = ()
) -> dict[str, list[str]]:
    """The three processes by name."""
    tools = Path(sys.executable).parent
    return {
        "code-server": [
            *(str(tools / "dagster"), "api", "grpc", "--socket", str(code_socket)),
            *("--module-name", "variant_assets.definitions", "--working-directory", str(PROJECT)),
            *("--location-name", "job_variants"),
        ],
        "daemon": [str(tools / "dagster-daemon"), "run", "-w", str(workspace)],
        "webserver": [
            *(sys.executable, "-m", "orchestration.webserver"),
            *("--port", str(web_port), "--workspace", str(workspace), *web_options),
        ],
    }


def workspace_yaml(code_socket: Path) -> str:
    """Names the code server to the daemon and the webserver."""
    return f"load_from: [{{grpc_server: {{socket: {json.dumps(str(code_socket))}, location_name: job_variants}}}}]\n"


def web_options(settings: Settings) -> list[str]:
    """The webserver's options for the settings WEB_HOSTS, READ_ONLY and REPORT_ENDPOINTS."""
    return [
        *(["--read-only"] if settings.read_only == "on" else []),
        *(["--report-endpoints"] if settings.report_endpoints == "on" else []),
        *(word for host in settings.web_hosts for word in ("--allow-host", host)),
    ]


def next_pause_s(pause_s: float, lived_s: float) -> float:
    """From one start of a process to the next: twice the last one, and short again after it has lived for a while."""
    return 1.0 if lived_s > _LONGEST_PAUSE_S else min(pause_s * 2, _LONGEST_PAUSE_S)


class Supervisor:
    """Starts the processes and starts again what ends, after a pause that grows while it ends soon after its start."""

    def __init__(self, settings: Settings, web_port: int, *, embedded_postgres: bool, renewals_seen: int) -> None:
        self._state = state = State.of(settings)
        self._database = Database(settings.require_database_url())
        self._code_socket = code_socket(state.folder)
        self._url = f"http://127.0.0.1:{web_port}"
        self._embedded_postgres = embedded_postgres
        self._commands = commands(self._code_socket, web_port, state.workspace, web_options(settings))
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._pause_s = dict.fromkeys(self._commands, 1.0)
        self._next_start_s = dict.fromkeys(self._commands, 0.0)
        self._stopping = threading.Event()
        holder = Holder.of_this_process(state.folder, self._url, os.getpid())
        self._renewals_seen = renewals_seen
        self._lease = KeptLease(self._database.lease, holder, self._stop_for_another)

    def register(self) -> None:
        """From here on the record names this process, and `make down` can end it."""
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, lambda *_: self._stopping.set())
        self._lease.take(self._renewals_seen)
        self._write_record()

    def run(self) -> None:
        self._state.workspace.write_text(workspace_yaml(self._code_socket))
        try:
            while not self._stopping.is_set():
                shorten_logs(self._state.logs)
                self._keep_database()
                self._keep("code-server")
                # A daemon that does not find its code server looks again only after a minute.
                if listens(self._code_socket):
                    self._keep("daemon")
                    self._keep("webserver")
                self._stopping.wait(0.25)
        finally:
            self._end_all()
            self._lease.release()
            self._database.close()

    def _stop_for_another(self) -> None:
        print("another service has taken the database; this one stops", flush=True)
        self._stopping.set()

    def _keep_database(self) -> None:
        if not self._embedded_postgres or postgres.running_port(self._state.postgres) is not None:
            return
        try:
            postgres.start(self._state.postgres)
        except postgres.PostgresError as error:
            print(f"{error}\nit is tried again", flush=True)
            self._stopping.wait(_DATABASE_PAUSE_S)

    def _keep(self, name: str) -> None:
        child = self._children.get(name)
        now_s = time.monotonic()
        if (child is not None and child.poll() is None) or now_s < self._next_start_s[name]:
            return
        if child is not None:
            print(f"{name} ended with {child.returncode}; it starts again", flush=True)
            started_s = self._next_start_s[name] - self._pause_s[name]
            self._pause_s[name] = next_pause_s(self._pause_s[name], lived_s=now_s - started_s)
        self._next_start_s[name] = now_s + self._pause_s[name]
        if name == "daemon":
            self._forget_former_daemon()
        with (self._state.logs / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                self._commands[name],
                cwd=self._state.working_folder,
                env={**os.environ, PROCESS_VARIABLE: name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._write_record()

    def _write_record(self) -> None:
        alive = [(name, child.pid) for name, child in self._children.items() if child.poll() is None]
        processes = [Process.of("supervisor", os.getpid()), *(Process.of(name, pid) for name, pid in alive)]
        self._state.write(Record(self._url, tuple(processes)))

    def _end_all(self) -> None:
        # The daemon first, so that nothing new starts; run workers end with the code server that started them.
        # It waits for the sensors that it evaluates, and those wait for new variants until they are told.
        daemon = self._children.get("daemon")
        if daemon is not None and daemon.poll() is None:
            Process.of("daemon", daemon.pid).ask_to_end()
            self._end_waits()
        for name in ("daemon", "webserver", "code-server"):
            child = self._children.get(name)
            if child is not None and child.poll() is None:
                Process.of(name, child.pid).end()

    def _forget_former_daemon(self) -> None:
        """The ticks of a daemon that died live on in the code server, and would request runs that nobody creates."""
        self._end_waits()
        try:
            self._database.run_requests.release()
        except SQLAlchemyError as error:
            print(f"variants whose request was lost wait for a minute: {error}", flush=True)

    def _end_waits(self) -> None:
        try:
            self._database.notify_shutdown()
        except SQLAlchemyError as error:
            print(f"the sensors are not told to end their ticks: {error}", flush=True)


def main() -> None:
    web_port, database, renewals_seen = sys.argv[1:]
    # The caller returns as soon as `make down` can end what it has started. Its terminal's Ctrl-C does not come here.
    started, tell_started = os.pipe()
    if os.fork() > 0:
        os.close(tell_started)
        os._exit(0 if os.read(started, 1) else 1)
    os.setsid()
    os.umask(UMASK)
    supervisor = Supervisor(
        Settings(), int(web_port), embedded_postgres=database == "embedded", renewals_seen=int(renewals_seen)
    )
    try:
        supervisor.register()
    except AnotherServiceError as error:
        sys.exit(str(error))
    os.write(tell_started, b"1")
    os.close(tell_started)
    supervisor.run()


if __name__ == "__main__":
    main()
