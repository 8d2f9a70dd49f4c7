"""Waits for a notification of PostgreSQL that a variant has changed. No wait is longer than the caller says."""

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

from orchestration.keepalive import KEEPALIVE
from resources.postgres.queries import load
from resources.postgres.transactions import CONNECTIONS

STATEMENTS = Path(__file__).with_name("notifier.sql")
SHUTDOWN_CHANNEL = "job_variant_sensors"
_CONNECTED_WITHIN_S = 10.0
_ANSWERED_WITHIN_S = 5.0
# How often a wait checks whether this process is stopping.
_STOP_CHECK_S = 0.5
_LOCK_NOT_AVAILABLE = "55P03"


class ListenError(Exception):
    """The connection cannot listen: it broke, the server does not answer, or a pooler is between. Read the table."""


class WaitEnd(Enum):
    """Why a wait ended."""

    TIMEOUT = "the time is over"
    CHANGE = "a variant may have become startable"
    SHUTDOWN = "the service stops"


class Listener:
    """A connection of its own that listens for changes of variants, and that can hold the sensors' lock.

    It listens from the start of its `with` block, so it misses nothing that is committed afterwards. The end of the
    block closes the connection. Every wait calls `stopping` twice a second and ends when that returns True.
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

    def __enter__(self) -> Listener:
        try:
            # Asynchronous: only then each wait can be limited, also the wait for a server that has vanished.
            self._connection = psycopg2.connect(
                make_url(self._url).set(drivername="postgresql").render_as_string(hide_password=False),
                async_=True,
                application_name="job_variants sensor",
                **KEEPALIVE,
            )
            self._finish(_CONNECTED_WITHIN_S)
            self._refuse_pooler()
            for statement in ("set_tcp_keepalives", "listen_for_changes", "listen_for_shutdown"):
                self._execute(statement)
        except psycopg2.Error as error:
            self.close()
            raise ListenError(f"cannot listen: {error}") from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection. If it held the sensors' lock, the next sensor gets it."""
        if self._connection is not None:
            self._connection.close()

    def acquire_lock(self, within_s: float) -> bool:
        """Waits for the sensors' lock, which one sensor at a time holds. False if others held it all that time.

        Those who wait get the lock in the order in which they came. Raises ListenError.
        """
        if within_s <= 0:
            return False
        try:
            self._execute("set_lock_timeout", milliseconds=str(max(1, round(within_s * 1000))))
            self._execute("acquire_sensor_lock", answered_within_s=within_s + _ANSWERED_WITHIN_S)
        except psycopg2.Error as error:
            if error.pgcode == _LOCK_NOT_AVAILABLE:
                return False
            raise ListenError(f"the connection broke while it waited for the sensors' lock: {error}") from error
        return True

    def wait(self, within_s: float) -> WaitEnd:
        """Waits until a variant may be startable, the service stops, or the time is over. Raises ListenError."""
        give_up_s = self._clock() + within_s
        while True:
            received = self._received()
            if received is not None:
                return received
            left_s = give_up_s - self._clock()
            if left_s <= 0:
                return WaitEnd.TIMEOUT
            if self._stopping():
                return WaitEnd.SHUTDOWN
            select.select([self._connection], [], [], min(left_s, _STOP_CHECK_S))

    def _received(self) -> WaitEnd | None:
        """What the notifications since the last call mean; None if there is nothing to do."""
        try:
            self._connection.poll()
        except psycopg2.Error as error:
            raise ListenError(f"the connection broke while it listened: {error}") from error
        notices = list(self._connection.notifies)
        self._connection.notifies.clear()
        if any(notice.channel == SHUTDOWN_CHANNEL for notice in notices):
            return WaitEnd.SHUTDOWN
        return WaitEnd.CHANGE if any(may_be_startable(notice.payload) for notice in notices) else None

    def _refuse_pooler(self) -> None:
        [[served_by]] = self._execute("backend_pid")
        if served_by != self._connection.info.backend_pid:
            raise ListenError("there is a pooler before PostgreSQL, and through a pooler nobody can listen")

    def _execute(
        self, name: str, *, answered_within_s: float = _ANSWERED_WITHIN_S, **parameters: object
    ) -> list[tuple[Any, ...]]:
        statement = (load(CONNECTIONS) | load(STATEMENTS))[name].compile(dialect=PGDialect_psycopg2())  # type: ignore[no-untyped-call]
        cursor = self._connection.cursor()
        cursor.execute(str(statement), parameters)
        self._finish(answered_within_s)
        return list(cursor.fetchall()) if cursor.description else []

    def _finish(self, within_s: float) -> None:
        give_up_s = self._clock() + within_s
        while (state := self._connection.poll()) != extensions.POLL_OK:
            left_s = give_up_s - self._clock()
            if left_s <= 0:
                raise ListenError(f"PostgreSQL does not answer within {within_s:g} s")
            if self._stopping():
                raise ListenError("the service stops")
            reads = [self._connection] if state == extensions.POLL_READ else []
            writes = [self._connection] if state == extensions.POLL_WRITE else []
            select.select(reads, writes, [], min(left_s, _STOP_CHECK_S))


def may_be_startable(payload: str) -> bool:
    """Whether this notification can mean that a variant has become startable.

    Only images that are done and stages that somebody has queued count. The many changes within a run make nothing
    startable. A state that an operator writes, such as (overlay, done), looks like one of them; the sensor finds it
    when it next reads the table. Anybody can write to the channel, so a payload that cannot be read counts as well.
    """
    try:
        change = json.loads(payload)
        step, status = change["current_step"], change["status"]
    except (ValueError, KeyError, TypeError):
        return True
    return (step, status) == ("img_gen", "done") or (status == "queued" and step != "img_gen")
