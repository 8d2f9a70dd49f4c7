"""Whether a pooled connection still works, asked only where it may not."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

# A connection is asked whether it still works when it has rested so long; no server is back from a restart sooner.
_TRUSTED_S = 0.2


def ping_rested_connections(engine: Engine) -> None:
    """Without it, the first statement after a restart of the server fails its run.

    SQLAlchemy's `pool_pre_ping` asks every time, which is every third statement of a run.
    """

    def rests(_: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        record.info["rests_since_s"] = time.monotonic()

    def ping(connection: DBAPIConnection, record: ConnectionPoolEntry, _: Any) -> None:
        now_s = time.monotonic()
        if now_s - record.info.get("rests_since_s", now_s) < _TRUSTED_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine, "checkin", rests)
    event.listen(engine, "checkout", ping)
