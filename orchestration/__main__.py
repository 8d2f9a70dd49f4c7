"""`python -m orchestration`: whether the fork server of the instance in DAGSTER_HOME works; if not, why not."""

from __future__ import annotations

import sys

from dagster import DagsterInstance

from orchestration.fork_launcher import fork_server_problem


def main() -> int:
    with DagsterInstance.get() as instance:
        problem = fork_server_problem(instance)
    print(problem or "no problem of the fork server is known")
    return int(problem is not None)


if __name__ == "__main__":
    sys.exit(main())
