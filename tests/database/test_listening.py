"""Waiting for a change on a real server: what ends a wait and what does not, and who holds the lock."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import make_url

from resources.postgres.database import Database
from resources.postgres.notifier import Listener, ListenError, WaitEnd
from testing.shop import Shop, work_through
from testing.waiting import until

LONG_S = 30.0
LISTENERS = "FROM pg_stat_activity WHERE application_name = 'job_variants sensor' AND datname = current_database()"


@pytest.fixture
def listener(database_url: str) -> Iterator[Listener]:
    with Listener(database_url) as listener:
        yield listener


def soon(act: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(0.2, act)
    timer.start()
    return timer


def test_a_variant_committed_during_the_wait_ends_it(shop: Shop, listener: Listener) -> None:
    job = shop.job()
    timer = soon(lambda: shop.variant(job))
    assert listener.wait(LONG_S) is WaitEnd.CHANGE
    timer.join()


def test_a_variant_committed_before_the_wait_and_after_listening_ends_it_at_once(
    shop: Shop, listener: Listener
) -> None:
    assert listener.acquire_lock(1)
    shop.variant(shop.job())
    assert listener.wait(LONG_S) is WaitEnd.CHANGE


def test_the_changes_within_a_run_wake_nobody(shop: Shop, db: Database, database_url: str) -> None:
    variant = shop.variant(shop.job())
    with Listener(database_url) as listener:
        work_through(db, variant, "run")
        assert listener.wait(0.3) is WaitEnd.TIMEOUT


def test_the_service_that_stops_ends_every_wait(db: Database, listener: Listener) -> None:
    db.notify_shutdown()
    assert listener.wait(LONG_S) is WaitEnd.SHUTDOWN


def test_a_process_that_shuts_down_does_not_wait(database_url: str) -> None:
    ends = threading.Event()
    with Listener(database_url, stopping=ends.is_set) as listener:
        ends.set()
        assert listener.wait(LONG_S) is WaitEnd.SHUTDOWN


def test_one_listener_holds_the_lock_and_the_next_gets_it_when_it_closes(database_url: str) -> None:
    with Listener(database_url) as second:
        with Listener(database_url) as first:
            assert first.acquire_lock(1)
            assert not second.acquire_lock(0.1)
        assert second.acquire_lock(LONG_S)


def test_those_who_wait_get_the_lock_in_the_order_in_which_they_came(database_url: str, shop: Shop) -> None:
    had: list[int] = []

    def wait_for_lock(number: int) -> None:
        with Listener(database_url) as listener:
            assert listener.acquire_lock(LONG_S)
            had.append(number)

    with ExitStack() as waiting:
        with Listener(database_url) as first:
            assert first.acquire_lock(1)
            for number in (1, 2, 3):
                thread = threading.Thread(target=wait_for_lock, args=[number])
                thread.start()
                waiting.callback(thread.join)
                until("one more waits", lambda n=number: count(shop, "AND wait_event = 'advisory'") == n)  # type: ignore[misc]
        until("all three had the turn", lambda: len(had) == 3)
    assert had == [1, 2, 3]


def test_a_listener_whose_connection_was_ended_does_not_hold_the_lock_any_more(database_url: str, shop: Shop) -> None:
    with Listener(database_url) as first, Listener(database_url) as second:
        assert first.acquire_lock(1)
        shop.row(f"SELECT count(pg_terminate_backend(pid)) {LISTENERS} AND state = 'idle' AND query LIKE '%advisory%'")
        assert second.acquire_lock(LONG_S)
        with pytest.raises(ListenError, match="broke while it listened"):
            first.wait(LONG_S)


def test_a_server_that_vanishes_without_an_answer_is_noticed() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql+psycopg2://nobody@127.0.0.1:{silent.getsockname()[1]}/nowhere"
        clock = iter(range(0, 10_000, 6))
        with pytest.raises(ListenError, match="does not answer within"), Listener(url, clock=lambda: next(clock)):
            pass


def test_behind_a_pooler_nobody_listens(database_url: str) -> None:
    with Pooler(database_url) as pooler, pytest.raises(ListenError, match="pooler"), Listener(pooler.url):
        pass


class Pooler:
    """Passes bytes to PostgreSQL and, as PgBouncer does, tells clients of a server process that there is none of."""

    def __init__(self, url: str) -> None:
        self._server = make_url(url)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []

    @property
    def url(self) -> str:
        port = self._socket.getsockname()[1]
        there = self._server.set(host="127.0.0.1", port=port, query={"sslmode": "disable", "gssencmode": "disable"})
        return there.render_as_string(hide_password=False)

    def __enter__(self) -> "Pooler":
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._socket, *self._connections):
            each.close()

    def _serve(self) -> None:
        client, _ = self._socket.accept()
        host = self._server.host or str(self._server.query["host"])
        if host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{host}/.s.PGSQL.{self._server.port or 5432}")
        else:
            server = socket.create_connection((host, self._server.port or 5432))
        self._connections += [client, server]
        threading.Thread(target=self._pass, args=[client, server], daemon=True).start()
        self._pass(server, client)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        # BackendKeyData: a K, twelve as its length, then the process.
        key = b"K\x00\x00\x00\x0c"
        try:
            while content := source.recv(65536):
                at = content.find(key)
                if at >= 0:
                    content = content[: at + 5] + b"\x00\x00\x00\x07" + content[at + 9 :]
                target.sendall(content)
        except OSError:
            # The test has ended and closed both.
            return


def count(shop: Shop, where: str = "") -> int:
    return int(shop.row(f"SELECT count(*) {LISTENERS} {where}")[0])
