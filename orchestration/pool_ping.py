"""Pings a pooled connection before it is used, but only where the server may have restarted since its last use."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

# A connection that was idle for longer is pinged before its next use; no server restarts in less.
_TRUSTED_S = 0.2


def ping_rested_connections(engine: Engine) -> None:
    """Without a ping, the first statement after a restart of the server fails.

    SQLAlchemy's `pool_pre_ping` pings before every use, which would be every third statement of a run.
    """

    def note_idle(_: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        record.info["idle_since_s"] = time.monotonic()

    def ping(connection: DBAPIConnection, record: ConnectionPoolEntry, _: Any) -> None:
        now_s = time.monotonic()
        if now_s - record.info.get("idle_since_s", now_s) < _TRUSTED_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine, "checkin", note_idle)
    event.listen(engine, "checkout", ping)
