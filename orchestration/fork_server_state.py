"""Why there is no fork server, kept in Dagster's database, so that every process and machine can show it."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Self

from dagster import DagsterInstance

_KEY = "orchestration/fork_server"


@dataclass(frozen=True)
class ForkServerProblem:
    """A fork server that could not start: which, where, since when, and why."""

    module: str
    host: str
    since: str
    why: str

    @classmethod
    def now(cls, module: str, why: str) -> Self:
        return cls(module, socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"), why)

    def __str__(self) -> str:
        return (
            f"no fork server for {self.module} on {self.host} since {self.since}: {self.why}. Until there is one, the"
            " code server starts each run, some seconds later. The traceback is in the daemon's log; mend what it"
            " names. A new server is tried every minute, and with the next run after a change of the source."
        )


def write_problem(instance: DagsterInstance, problem: ForkServerProblem | None) -> None:
    """None: the fork server works."""
    instance.daemon_cursor_storage.set_cursor_values({_KEY: json.dumps(asdict(problem)) if problem else ""})


def read_problem(instance: DagsterInstance) -> ForkServerProblem | None:
    """None where the fork server works, and where none was ever started."""
    value = instance.daemon_cursor_storage.get_cursor_values({_KEY}).get(_KEY)
    return ForkServerProblem(**json.loads(value)) if value else None
