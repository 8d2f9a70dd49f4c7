"""`python -m service up | down | env | sql | dev | parallel N | delete-job ID`: what the Makefile's verbs do."""

from __future__ import annotations

import argparse
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
    # While libraries are imported nothing runs yet: a Ctrl-C ends this at once, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from sqlalchemy import make_url

from resources.postgres.database import Database
from resources.settings import Settings, StateSettings
from service.commands import ServiceError, run_command
from service.database import prepare_database
from service.deletion import delete_jobs
from service.running import environment, port_note, running_environment, start, stop
from service.state import State
from service.terminal import develop, sql

POOL = "variants"
# What Dagster's own commands need, and pg_dump and psql.
_EXPORTED = (
    "DATABASE_URL",
    "DAGSTER_DATABASE_URL",
    "DAGSTER_HOME",
    "DAGSTER_LOCAL_DIR",
    "DAGSTER_COMPUTE_LOGS",
    "ASSET_ROOT",
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", help="start the service and leave it running").set_defaults(do=_up)
    verbs.add_parser("down", help="stop it").set_defaults(do=_down)
    env = verbs.add_parser("env", help="print the variables that Dagster's own commands and psql need, for `eval`")
    env.set_defaults(do=_env)
    psql = verbs.add_parser("sql", help="open psql on the service's database; it also reads SQL from a pipe")
    psql.add_argument("-c", "--command", help="run this instead")
    psql.set_defaults(do=lambda given: sql(Settings(), given.command))
    dev = verbs.add_parser("dev", help="run `dagster dev` on a database and an instance of its own")
    dev.set_defaults(do=lambda _: develop(Settings()))
    parallel = verbs.add_parser("parallel", help="how many variants run at a time, from now on")
    parallel.add_argument("variants", type=_at_least_one)
    parallel.set_defaults(do=_parallel)
    deleting = verbs.add_parser("delete-job", help="delete jobs with rows, pictures, partitions, runs and logs")
    deleting.add_argument("jobs", type=UUID, nargs="+", metavar="job_id")
    deleting.set_defaults(do=_delete_jobs)
    given = parser.parse_args(arguments)
    return run_command(lambda: given.do(given))


def _up(_: argparse.Namespace) -> int:
    settings = Settings()
    runs_already = running_environment(State.of(settings)) is not None
    record = start(settings)
    how = (
        "The service runs already" if runs_already else f"The service runs{port_note(record, settings.webserver_port)}"
    )
    print(f"{how}; its UI is at {record.url}. Stop it with `make down`.")
    return 0


def _down(_: argparse.Namespace) -> int:
    print("The service is stopped." if stop(State.of(StateSettings())) else "The service was not running.")
    return 0


def _env(_: argparse.Namespace) -> int:
    variables = running_environment(State.of(StateSettings())) or _prepared_environment(Settings())
    # Without the name of the driver, which psql and pg_dump do not know.
    variables["DATABASE_URL"] = (
        make_url(variables["DATABASE_URL"]).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    print("\n".join(f"export {name}={shlex.quote(variables[name])}" for name in _EXPORTED))
    return 0


def _parallel(given: argparse.Namespace) -> int:
    state = State.of(StateSettings())
    running = running_environment(state)
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


def _delete_jobs(given: argparse.Namespace) -> int:
    variables = running_environment(State.of(StateSettings())) or _prepared_environment(Settings())
    return delete_jobs(given.jobs, variables)


def _prepared_environment(settings: Settings) -> dict[str, str]:
    """The environment for Dagster's commands where no service runs; the database is ready for them."""
    variables = environment(settings)
    prepare_database(
        variables["DATABASE_URL"], variables["DAGSTER_DATABASE_URL"], adopt_start_days=settings.adopt_start_days
    )
    return variables


def _at_least_one(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number of variants, 1 or more; write make parallel N=2")
    return int(value)


if __name__ == "__main__":
    sys.exit(main())
