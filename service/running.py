"""Starts and stops the whole service on the user's database, or on the embedded one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from orchestration.stock import stock_configuration
from resources.images import make_shared_folder
from resources.loading.availability import require_runnable
from resources.settings import PROJECT, Settings
from service import postgres
from service.code_socket import remove_code_socket
from service.commands import ServiceError, run_to_the_end
from service.database import prepare_database
from service.folders import usable
from service.lease import renewals_without_other_service
from service.state import Record, State, closed_to_others
from service.ui import Ui, UiError

_HEALTHY_WITHIN_S = 120.0
ONE_ARENA = "1"


def environment(settings: Settings) -> dict[str, str]:
    """The environment of all processes of the service. Starts the embedded database when no database is set."""
    state = State.of(settings)
    state.make()
    usable("ASSET_ROOT", settings.asset_root, make_shared_folder, written="yh")
    complete = settings.model_copy(
        update={
            "database_url": postgres.start(state.postgres).url if is_embedded(settings) else settings.database_url,
            # Sensors that wait are ours; with `stock` everything is as Dagster comes.
            "sensor_copies": settings.sensor_copies if settings.orchestration == "pooled" else 0,
        }
    )
    return {
        **os.environ,
        # All of them: a process that is started again later must not read others from a changed `.env`.
        **complete.variables(),
        "DAGSTER_DATABASE_URL": complete.dagster_url,
        "DAGSTER_HOME": str(_dagster_home(complete, state)),
        "DAGSTER_LOCAL_DIR": str(state.dagster),
        "DAGSTER_COMPUTE_LOGS": "false" if settings.compute_logs == "off" else "true",
        # With more arenas, each thread that once worked keeps memory of its own.
        "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", ONE_ARENA),
        # Each sensor that waits holds a thread of the code server; the rest is Dagster's own number.
        "DAGSTER_GRPC_MAX_WORKERS": str(complete.sensor_copies + (os.cpu_count() or 1) + 4),
    }


def is_embedded(settings: Settings) -> bool:
    """Whether the database is the embedded one: none is set, or its own URL, as in a shell that has read `env`."""
    return settings.database_url in (None, postgres.own_url(State.of(settings).postgres))


def _dagster_home(settings: Settings, state: State) -> Path:
    """The folder whose dagster.yaml is read."""
    if settings.orchestration == "pooled":
        return PROJECT
    state.stock.mkdir(parents=True, exist_ok=True)
    (state.stock / "dagster.yaml").write_text(stock_configuration((PROJECT / "dagster.yaml").read_text()))
    return state.stock


def running_environment(state: State) -> dict[str, str] | None:
    """The environment that the running service was started with; None when no service runs."""
    record = state.record()
    if record is None or not record.is_alive:
        return None
    try:
        return dict(psutil.Process(record.supervisor.pid).environ())
    except psutil.NoSuchProcess:
        # It has ended since `is_alive` was read.
        return None


def start(settings: Settings) -> Record:
    """Starts everything, waits until it works, and returns what runs.

    A service that runs already is left as it is. Processes that a dead service has left behind are ended first. Raises
    ServiceError or SettingError, and then nothing is left running.
    """
    state = State.of(settings)
    state.make()
    with closed_to_others(), state.locked():
        found = state.record()
        if found is not None and found.is_alive:
            return found
        if found is not None:
            stop(state)
        try:
            return _start(settings, state)
        except BaseException:
            stop(state)
            raise


def _start(settings: Settings, state: State) -> Record:
    # A chosen backend runs or is refused here: nothing falls back to another one.
    require_runnable(settings)
    web_port = free_port(settings.webserver_port)
    variables = environment(settings)
    prepare_database(
        variables["DATABASE_URL"], variables["DAGSTER_DATABASE_URL"], adopt_start_days=settings.adopt_start_days
    )
    renewals_seen = renewals_without_other_service(variables["DATABASE_URL"], state.folder)
    for old in state.logs.glob("*.log"):
        old.replace(old.with_suffix(".previous"))
    database = "embedded" if is_embedded(settings) else "given"
    with (state.logs / "supervisor.log").open("ab") as log:
        # Returns at once: the supervisor continues in a process and session of its own.
        status = run_to_the_end(
            [sys.executable, "-m", "service.supervisor", str(web_port), database, str(renewals_seen)],
            cwd=PROJECT,
            env=variables,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    if status != 0:
        raise ServiceError(f"the supervisor does not start\n{state.log_tails()}")
    return _healthy(state, Ui(f"http://127.0.0.1:{web_port}"))


def stop(state: State) -> bool:
    """Stops everything that was started, the embedded database too; False when nothing ran."""
    record = state.record()
    ended = False
    # What a dead supervisor has left behind waits for sensors' ticks that nobody ends; it may die as in a crash.
    patience_s = 15.0 if record is not None and record.is_alive else 2.0
    for process in record.processes if record is not None else ():
        if process.is_alive():
            process.end(patience_s=45.0 if process.name == "supervisor" else patience_s)
            ended = True
    state.forget()
    remove_code_socket(state.folder)
    return postgres.stop(state.postgres) or ended


def free_port(wanted: int) -> int:
    """The wanted port of 127.0.0.1, else the next free one; any free one for 0."""
    for port in range(wanted, min(wanted + 50, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServiceError(f"port {wanted} of 127.0.0.1 and those after it are all taken; set WEBSERVER_PORT to a free one")


def port_note(record: Record, wanted: int) -> str:
    """A note for people when the UI has another port than the wanted one; else empty."""
    return "" if record.url.endswith(f":{wanted}") else f" (port {wanted} is taken)"


def _healthy(state: State, ui: Ui) -> Record:
    give_up_s = time.monotonic() + _HEALTHY_WITHIN_S
    missing: str | None = "the supervisor"
    while missing is not None:
        record = state.record()
        if time.monotonic() > give_up_s or (record is not None and not record.is_alive):
            raise ServiceError(f"{missing} does not come up\n{state.log_tails()}")
        time.sleep(0.3)
        try:
            missing = ui.what_is_missing()
        except UiError as error:
            raise ServiceError(f"{error}\n{state.log_tails()}") from error
    record = state.record()
    if record is None:
        raise ServiceError(f"the service left no record in {state.folder}")
    return record
