"""Waiting for PostgreSQL to say that a variant has changed, with a bound on every wait."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg2
from psycopg2 import extensions
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from resources.postgres.queries import load

STATEMENTS = Path(__file__).with_name("notifier.sql")
STOP = "job_variant_sensors"
_CONNECTED_WITHIN_S = 10.0
_ANSWERED_WITHIN_S = 5.0
# The longest that nobody asks whether to go on.
_LOOK_UP_S = 0.5
_LOCK_NOT_AVAILABLE = "55P03"


class ListeningLost(Exception):
    """The connection does not listen: it broke, does not answer, or leads through a pooler. Read the table."""


class Heard(Enum):
    """Why a wait ended."""

    NOTHING = "nothing"
    CHANGE = "a variant may wait"
    STOP = "the service stops"


class Listening:
    """One connection that listens, may have the turn, and is closed at the end of its `with` block.

    It listens from the start of the block, so nothing that is committed afterwards is missed. `stopping` is asked twice
    a second during every wait.
    """

    def __init__(
        self,
        url: str,
        *,
        stopping: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._stopping = stopping
        self._clock = clock
        self._connection: Any = None

    def __enter__(self) -> Listening:
        try:
            # Asynchronous, for only then can each wait be bounded, also one for a server that has vanished.
            self._connection = psycopg2.connect(
                make_url(self._url).set(drivername="postgresql").render_as_string(hide_password=False),
                async_=True,
                application_name="job_variants sensor",
                keepalives=1,
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
            )
            self._finish(_CONNECTED_WITHIN_S)
            self._refuse_pooler()
            for statement in ("quick_farewell", "listen_for_changes", "listen_for_stop"):
                self._execute(statement)
        except psycopg2.Error as error:
            self.close()
            raise ListeningLost(f"cannot listen: {error}") from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the turn, too."""
        if self._connection is not None:
            self._connection.close()

    def take_turn(self, within_s: float) -> bool:
        """Waits for the turn; False when others have had it all that time."""
        if within_s <= 0:
            return False
        try:
            self._execute("turn_within", milliseconds=str(max(1, round(within_s * 1000))))
            self._execute("take_turn", answered_within_s=within_s + _ANSWERED_WITHIN_S)
        except psycopg2.Error as error:
            if error.pgcode == _LOCK_NOT_AVAILABLE:
                return False
            raise ListeningLost(f"the connection broke while it waited for its turn: {error}") from error
        return True

    def wait(self, within_s: float) -> Heard:
        """Waits until a variant may have become startable, the service stops, or the time is over."""
        give_up_s = self._clock() + within_s
        while True:
            heard = self._heard()
            left_s = give_up_s - self._clock()
            if heard is not Heard.NOTHING or left_s <= 0:
                return heard
            if self._stopping():
                return Heard.STOP
            select.select([self._connection], [], [], min(left_s, _LOOK_UP_S))

    def _heard(self) -> Heard:
        try:
            self._connection.poll()
        except psycopg2.Error as error:
            raise ListeningLost(f"the connection broke while it listened: {error}") from error
        notices = list(self._connection.notifies)
        self._connection.notifies.clear()
        if any(notice.channel == STOP for notice in notices):
            return Heard.STOP
        return Heard.CHANGE if any(may_start(notice.payload) for notice in notices) else Heard.NOTHING

    def _refuse_pooler(self) -> None:
        [[served_by]] = self._execute("server_process")
        if served_by != self._connection.info.backend_pid:
            raise ListeningLost("a pooler stands before PostgreSQL, and through it nobody can listen")

    def _execute(
        self, name: str, *, answered_within_s: float = _ANSWERED_WITHIN_S, **parameters: object
    ) -> list[tuple[Any, ...]]:
        statement = load(STATEMENTS)[name].compile(dialect=PGDialect_psycopg2())  # type: ignore[no-untyped-call]
        cursor = self._connection.cursor()
        cursor.execute(str(statement), parameters)
        self._finish(answered_within_s)
        return list(cursor.fetchall()) if cursor.description else []

    def _finish(self, within_s: float) -> None:
        give_up_s = self._clock() + within_s
        while (state := self._connection.poll()) != extensions.POLL_OK:
            left_s = give_up_s - self._clock()
            if left_s <= 0:
                raise ListeningLost(f"PostgreSQL does not answer within {within_s:g} s")
            if self._stopping():
                raise ListeningLost("the service stops")
            reads = [self._connection] if state == extensions.POLL_READ else []
            writes = [self._connection] if state == extensions.POLL_WRITE else []
            select.select(reads, writes, [], min(left_s, _LOOK_UP_S))


def may_start(payload: str) -> bool:
    """Whether a change of state can have made a variant startable at once.

    Of the changes within a run there are many, and they make nothing startable; what an operator moves in the same way
    is found in the table a moment later. Anybody may write to the channel, so what cannot be read means: look.
    """
    try:
        change = json.loads(payload)
        state = change["current_step"], change["status"]
    except (ValueError, KeyError, TypeError):
        return True
    return state == ("img_gen", "done") or (state[1] == "queued" and state[0] != "img_gen")
