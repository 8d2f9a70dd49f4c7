"""One engine for the process, and one short transaction for each call. None is open while the caller works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

from orchestration.keepalive import KEEPALIVE
from orchestration.pool_ping import ping_rested_connections
from resources.postgres.errors import refusals
from resources.postgres.queries import load, named

CONNECTIONS = Path(__file__).with_name("connections.sql")
_CONNECTED_WITHIN_S = 10


def _free_locks_when_this_process_vanishes(connection: DBAPIConnection, _: object) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(str(load(CONNECTIONS)["set_tcp_keepalives"]))
    connection.commit()


class Transactions:
    """Runs the named queries of sql/queries.sql. Connects at the first call."""

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def engine(self) -> Engine:
        engine = create_engine(
            self.url, pool_size=2, max_overflow=2, connect_args={"connect_timeout": _CONNECTED_WITHIN_S, **KEEPALIVE}
        )
        event.listen(engine, "connect", _free_locks_when_this_process_vanishes)
        ping_rested_connections(engine)
        return engine

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, or rolled back by an error. Raises StageRefused."""
        with refusals(), self.engine.begin() as connection:
            yield connection

    def one(self, query: str, **parameters: object) -> Row[Any]:
        """The only row that the query returns."""
        with self.begin() as connection:
            return connection.execute(named(query), parameters).one()

    def all(self, query: str, **parameters: object) -> list[Row[Any]]:
        with self.begin() as connection:
            return list(connection.execute(named(query), parameters))

    def close(self) -> None:
        self.engine.dispose()
