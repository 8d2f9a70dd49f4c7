"""Starts and stops the whole service on the user's database, or on the embedded one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from orchestration.stock import stock_configuration
from resources.loading.availability import require_runnable
from resources.postgres.migrations import migrate
from resources.settings import PROJECT, Settings, check_settings, parse_setting
from service import postgres
from service.state import Record, State
from service.ui import Ui, UiError

_HEALTHY_WITHIN_S = 120.0
_CONNECTED_WITHIN_S = 10
ONE_ARENA = "1"


class ServiceError(Exception):
    """The service cannot run; the message says why and what to do. Nothing is left running."""


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of all processes of the service. Starts the embedded database when none is given."""
    check_settings(given)
    state = State.of(given)
    state.make()
    database = {} if given.get("DATABASE_URL") else {"DATABASE_URL": postgres.start(state.postgres).url}
    settings = Settings.from_environment({**given, **database})
    settings.asset_root.mkdir(parents=True, exist_ok=True)
    # A tick that waits is none of Dagster's own ways.
    waits = {} if settings.orchestration == "pooled" else {"SENSOR_COPIES": "0"}
    return {
        **given,
        "DATABASE_URL": settings.database_url,
        "DAGSTER_DATABASE_URL": settings.dagster_database_url,
        "DAGSTER_HOME": str(_dagster_home(settings, state)),
        # Dagster's commands do not look for the classes of dagster.yaml in the folder they are started from.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(PROJECT), given.get("PYTHONPATH")))),
        "DAGSTER_LOCAL_DIR": str(state.dagster),
        "DAGSTER_COMPUTE_LOGS": "false" if settings.compute_logs == "off" else "true",
        "ASSET_ROOT": str(settings.asset_root),
        **waits,
        # Else every thread that once worked keeps memory of its own.
        "MALLOC_ARENA_MAX": given.get("MALLOC_ARENA_MAX", ONE_ARENA),
        # Each sensor that waits holds a thread of the code server; everybody else keeps Dagster's own number.
        "DAGSTER_GRPC_MAX_WORKERS": str(settings.sensor_copies + (os.cpu_count() or 1) + 4),
    }


def _dagster_home(settings: Settings, state: State) -> Path:
    """The folder whose dagster.yaml is read."""
    if settings.orchestration == "pooled":
        return PROJECT
    state.stock.mkdir(parents=True, exist_ok=True)
    (state.stock / "dagster.yaml").write_text(stock_configuration((PROJECT / "dagster.yaml").read_text()))
    return state.stock


def running_environment(given: Mapping[str, str]) -> dict[str, str] | None:
    """The environment that the running service was started with, its database for one; None when none runs."""
    record = State.of(given).record()
    if record is None or not record.is_alive:
        return None
    try:
        return dict(psutil.Process(record.supervisor.pid).environ())
    except psutil.NoSuchProcess:
        # It has ended since it was asked.
        return None


def prepare_database(database_url: str) -> list[str]:
    """Reaches the database, migrates it and makes room for Dagster's own tables."""
    url = make_url(database_url)
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": _CONNECTED_WITHIN_S})
    try:
        with engine.begin() as connection:
            # Only where it is missing: who may not create schemas can have it made by somebody else.
            if connection.scalar(text("SELECT to_regnamespace('dagster')")) is None:
                connection.execute(text("CREATE SCHEMA IF NOT EXISTS dagster"))
        return migrate(database_url)
    except DBAPIError as error:
        raise ServiceError(
            f"cannot use database {url.database} at {url.host}:{url.port or 5432} as {url.username}:"
            f" {str(error.orig).strip()}\nCheck that the server runs, that DATABASE_URL names its address, user and"
            " password, and that the user may create tables and the schema dagster; without DATABASE_URL an embedded"
            " server is used."
        ) from None


def start(given: Mapping[str, str]) -> Record:
    """Starts everything, waits until it works, and returns what runs.

    A service that runs already is left as it is; what a dead one has left behind is ended first. Raises ServiceError,
    SettingError or PostgresError, and then nothing is left running.
    """
    state = State.of(given)
    state.make()
    with state.locked():
        found = state.record()
        if found is not None and found.is_alive:
            return found
        if found is not None:
            stop(given)
        try:
            return _start(given, state)
        except BaseException:
            stop(given)
            raise


def _start(given: Mapping[str, str], state: State) -> Record:
    web_port = free_port(parse_setting("WEBSERVER_PORT", given))
    variables = environment(given)
    # What is configured runs or is refused here: nothing falls back to something else.
    require_runnable(variables)
    prepare_database(variables["DATABASE_URL"])
    for old in state.logs.glob("*.log"):
        old.replace(old.with_suffix(".previous"))
    database = "given" if given.get("DATABASE_URL") else "embedded"
    with (state.logs / "supervisor.log").open("wb") as log:
        # Returns at once: the supervisor goes on in a process and session of its own.
        subprocess.run(
            [sys.executable, "-m", "service.supervisor", str(free_port(0)), str(web_port), database],
            cwd=PROJECT,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
        )
    return _healthy(state, Ui(f"http://127.0.0.1:{web_port}"))


def stop(given: Mapping[str, str]) -> bool:
    """Stops everything that was started, the embedded database too; False when nothing ran."""
    state = State.of(given)
    record = state.record()
    ended = False
    for process in record.processes if record is not None else ():
        if process.is_alive():
            process.end(patience_s=45.0 if process.name == "supervisor" else 15.0)
            ended = True
    state.forget()
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


def port_note(record: Record, given: Mapping[str, str]) -> str:
    """Says so when the UI is not where it was asked for."""
    wanted = parse_setting("WEBSERVER_PORT", given)
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
