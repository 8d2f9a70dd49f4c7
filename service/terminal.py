"""Programs that people work in: psql on the service's database, and Dagster's development server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from resources.loading.availability import require_runnable
from resources.settings import PROJECT, Settings
from service import postgres
from service.database import prepare_database
from service.running import environment, free_port, is_embedded, running_environment
from service.state import State


def sql(settings: Settings, command: str | None = None) -> int:
    """Opens psql on the database of the service; with `command` it runs that, and otherwise what is typed or piped in.

    The embedded server is started for it where no service runs, and stopped afterwards.
    """
    state = State.of(settings)
    with _database(settings, state) as database_url:
        url = make_url(database_url).set(drivername="postgresql")
        secret = {"PGPASSWORD": url.password} if isinstance(url.password, str) else {}
        # The password is not among the arguments, which every user of the machine can read.
        address = url._replace(password=None).render_as_string(hide_password=False)
        options = ["--command", command] if command is not None else []
        return run_in_terminal(
            [postgres.program("psql"), "--set=ON_ERROR_STOP=1", f"--dbname={address}", *options],
            env={**os.environ, **secret},
        )


@contextmanager
def _database(settings: Settings, state: State) -> Iterator[str]:
    """The database's URL; what had to be started for it is stopped at the end."""
    if (running := running_environment(state)) is not None:
        yield running["DATABASE_URL"]
    elif not is_embedded(settings) and settings.database_url is not None:
        yield settings.database_url
    else:
        state.make()
        try:
            yield postgres.start(state.postgres).url
        finally:
            postgres.stop(state.postgres)


def develop(settings: Settings) -> int:
    """Runs `dagster dev` until Ctrl-C, on an instance, an embedded database and pictures of its own.

    Those of the service, and the database of DATABASE_URL, are not touched.
    """
    state = State(settings.state_folder / "dev")
    own = settings.model_copy(
        update={
            "state_folder": state.folder,
            "database_url": None,
            "dagster_database_url": None,
            "asset_root": state.folder / "assets",
            # `dagster dev` would wait for those that wait when it is ended.
            "sensor_copies": 0,
        }
    )
    require_runnable(own)
    try:
        variables = environment(own)
        prepare_database(variables["DATABASE_URL"], variables["DAGSTER_DATABASE_URL"])
        return run_in_terminal(
            [
                *(str(Path(sys.executable).parent / "dagster"), "dev", "--working-directory", str(PROJECT)),
                *("--module-name", "variant_assets.definitions", "--port", str(free_port(own.webserver_port))),
            ],
            env=variables,
            cwd=state.working_folder,
        )
    finally:
        postgres.stop(state.postgres)


def run_in_terminal(command: Sequence[str], *, env: Mapping[str, str], **options: Any) -> int:
    """Runs a program that answers Ctrl-C itself, and returns its exit status when it has ended."""
    # A function and not SIG_IGN, which the program would inherit.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    process = subprocess.Popen(command, env=env, **options)
    try:
        return process.wait()
    finally:
        process.terminate()
        process.wait()
        signal.signal(signal.SIGINT, before)
