"""`python -m service up | down | env | parallel N | delete-job ID`: what the Makefile's verbs do."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from resources.postgres.database import Database
from resources.settings import SettingError, Settings, StateSettings
from service.deletion import delete_jobs
from service.postgres import PostgresError
from service.running import (
    ServiceError,
    environment,
    port_note,
    prepare_database,
    running_environment,
    start,
    stop,
)
from service.state import State

POOL = "variants"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", help="start the service and leave it running")
    verbs.add_parser("down", help="stop it")
    verbs.add_parser("env", help="print the variables that Dagster's own commands need, for `eval`")
    parallel = verbs.add_parser("parallel", help="how many variants run at a time, from now on")
    parallel.add_argument("variants", type=_at_least_one)
    deleting = verbs.add_parser("delete-job", help="delete jobs with rows, pictures, partitions, runs and logs")
    deleting.add_argument("jobs", type=UUID, nargs="+", metavar="job_id")
    given = parser.parse_args(arguments)
    try:
        return _do(given)
    except (ServiceError, SettingError, PostgresError) as error:
        print(error, file=sys.stderr)
        return 1


def _do(given: argparse.Namespace) -> int:
    state = State.of(StateSettings())
    running = running_environment(state)
    if given.verb == "up":
        settings = Settings()
        record = start(settings)
        note = port_note(record, settings.webserver_port)
        how = f"The service runs{note}" if running is None else "The service runs already"
        print(f"{how}; its UI is at {record.url}. Stop it with `make down`.")
        return 0
    if given.verb == "down":
        print("The service is stopped." if stop(state) else "The service was not running.")
        return 0
    if given.verb == "delete-job":
        return delete_jobs(given.jobs, running or _prepared_environment(Settings()))
    if given.verb == "env":
        variables = running or _prepared_environment(Settings())
        names = (
            "DATABASE_URL",
            "DAGSTER_DATABASE_URL",
            "DAGSTER_HOME",
            "DAGSTER_LOCAL_DIR",
            "DAGSTER_COMPUTE_LOGS",
            "ASSET_ROOT",
        )
        print("\n".join(f"export {name}={shlex.quote(variables[name])}" for name in names))
        return 0
    if running is None:
        raise ServiceError(
            "the service does not run; start it with `make up`, then set how many variants run at a time"
        )
    # The throttle may lower the limit below this number and never raises it above.
    database = Database(running["DATABASE_URL"])
    database.maintenance.order_parallel(given.variants)
    database.close()
    dagster = str(Path(sys.executable).parent / "dagster")
    command = [dagster, "instance", "concurrency", "set", POOL, str(given.variants)]
    return subprocess.run(command, cwd=state.working_folder, env=running).returncode


def _prepared_environment(settings: Settings) -> dict[str, str]:
    """The environment for Dagster's commands where no service runs; the database is ready for them."""
    variables = environment(settings)
    prepare_database(variables["DATABASE_URL"])
    return variables


def _at_least_one(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of variants, 1 or more; write make parallel N=2")
    return int(value)


if __name__ == "__main__":
    sys.exit(main())
