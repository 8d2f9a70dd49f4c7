"""Both ends of every connection notice that the other has vanished without a word."""

import socket
from typing import Any

import pytest
from sqlalchemy import text

from orchestration.keepalive import KEEPALIVE
from orchestration.storage import PooledRunStorage
from resources.postgres.database import Database

SERVER_SIDE = "SELECT current_setting('tcp_keepalives_idle') || ' ' || current_setting('tcp_keepalives_count')"


@pytest.fixture
def dagster_storage(database_url: str) -> PooledRunStorage:
    return PooledRunStorage(database_url, should_autocreate_tables=False)


def client_side(connection: Any) -> dict[str, int]:
    with socket.socket(fileno=socket.dup(connection.fileno())) as own:
        return {
            "keepalives": own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            "keepalives_idle": own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            "keepalives_interval": own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
            "keepalives_count": own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
            "tcp_user_timeout": own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        }


def test_a_run_notices_that_the_server_has_vanished_and_the_server_that_the_run_has(db: Database) -> None:
    with db.engine.connect() as connection:
        assert client_side(connection.connection) == KEEPALIVE
        assert connection.scalar(text(SERVER_SIDE)) == "10 3"


def test_dagster_notices_that_the_server_has_vanished(dagster_storage: PooledRunStorage) -> None:
    with dagster_storage.connect() as connection:
        assert client_side(connection.connection) == KEEPALIVE
    dagster_storage.dispose()
