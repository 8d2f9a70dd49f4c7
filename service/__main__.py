"""`python -m service up | down | env | parallel N`: what the Makefile's verbs do."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from resources.settings import SettingError
from service.postgres import PostgresError
from service.running import ServiceError, environment, port_note, start, stop

POOL = "variants"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", help="start the service and leave it running")
    verbs.add_parser("down", help="stop it")
    verbs.add_parser("env", help="print the variables that Dagster's own commands need, for `eval`")
    parallel = verbs.add_parser("parallel", help="how many variants run at a time, from now on")
    parallel.add_argument("variants", type=int)
    given = parser.parse_args(arguments)
    try:
        return _do(given)
    except (ServiceError, SettingError, PostgresError) as error:
        print(error, file=sys.stderr)
        return 1


def _do(given: argparse.Namespace) -> int:
    if given.verb == "up":
        record = start(os.environ)
        print(f"The service runs; its UI is at {record.url}{port_note(record, os.environ)}. Stop it with `make down`.")
        return 0
    if given.verb == "down":
        print("The service is stopped." if stop(os.environ) else "The service was not running.")
        return 0
    variables = environment(os.environ)
    if given.verb == "env":
        names = ("DATABASE_URL", "DAGSTER_DATABASE_URL", "DAGSTER_HOME", "DAGSTER_LOCAL_DIR", "ASSET_ROOT")
        print("\n".join(f"export {name}={shlex.quote(variables[name])}" for name in names))
        return 0
    dagster = str(Path(sys.executable).parent / "dagster")
    command = [dagster, "instance", "concurrency", "set", POOL, str(given.variants)]
    return subprocess.run(command, env=variables).returncode


if __name__ == "__main__":
    sys.exit(main())
