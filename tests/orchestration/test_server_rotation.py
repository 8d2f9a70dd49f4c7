"""Which server the next run is forked from; the servers here are no processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from orchestration.fork_client import ServerGone
from orchestration.fork_protocol import ForkServerError
from orchestration.server_rotation import RETRY_AFTER_S, ServerRotation
from testing.waiting import until


class Server:
    """Is ready, or cannot start, when the test says so."""

    def __init__(self) -> None:
        self.launches = 0
        self.takes_launches = True
        self.is_ready: Future[None] = Future()
        self.is_waited_for = threading.Event()

    def wait_until_ready(self) -> None:
        self.is_waited_for.set()
        self.is_ready.result(10)

    def retire(self) -> None:
        self.takes_launches = False
        if not self.is_ready.done():
            self.is_ready.set_exception(ServerGone())


class World:
    """The source and the servers that were started, and a rotation among them."""

    def __init__(self) -> None:
        self.stamp = 1
        self.now_s = 0.0
        self.starts_ready = True
        self.started: list[Server] = []
        self.rotation = ServerRotation(self._start, self, 10, lambda: self.now_s)  # type: ignore[arg-type]

    def current(self) -> int:
        return self.stamp

    def _start(self) -> Server:
        server = Server()
        if self.starts_ready:
            server.is_ready.set_result(None)
        self.started.append(server)
        return server

    def ready(self) -> int:
        """Which of the started servers is the next run's."""
        return self.started.index(self.rotation.ready())  # type: ignore[arg-type]

    def fail(self, number: int, why: str) -> None:
        self.started[number].is_ready.set_exception(ForkServerError(why))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_runs_come_from_one_server_until_the_source_changes(world: World) -> None:
    assert [world.ready(), world.ready()] == [0, 0]
    world.stamp = 2
    assert [world.ready(), world.ready()] == [1, 1]
    assert not world.started[0].takes_launches


def test_the_next_server_is_started_before_it_is_needed_and_serves_when_the_runs_are_used_up(world: World) -> None:
    world.ready()
    world.started[0].launches = 8
    assert world.ready() == 0
    assert len(world.started) == 1
    world.started[0].launches = 9
    assert world.ready() == 0
    assert len(world.started) == 2
    world.started[0].launches = 10
    assert world.ready() == 1
    assert len(world.started) == 2
    assert not world.started[0].takes_launches


@pytest.mark.parametrize("end", ["it died", "the source changed"])
def test_a_next_server_that_cannot_serve_is_left_out(world: World, end: str) -> None:
    world.ready()
    world.started[0].launches = 9
    world.ready()
    if end == "it died":
        world.started[0].launches = 10
        world.started[1].takes_launches = False
    else:
        world.stamp = 2
    assert world.ready() == 2
    assert not world.started[1].takes_launches


def test_a_server_that_died_is_replaced(world: World) -> None:
    world.ready()
    world.started[0].takes_launches = False
    assert world.ready() == 1


def test_many_runs_at_a_time_wait_for_one_server(world: World, threads: ThreadPoolExecutor) -> None:
    world.starts_ready = False
    waiting = [threads.submit(world.ready) for _ in range(8)]
    until("a server is started", lambda: bool(world.started))
    world.started[0].is_ready.set_result(None)
    assert [each.result(10) for each in waiting] == [0] * 8
    assert len(world.started) == 1


def test_while_a_server_starts_nothing_else_waits(world: World, threads: ThreadPoolExecutor) -> None:
    world.starts_ready = False
    waiting = threads.submit(world.ready)
    until("a server is waited for", lambda: bool(world.started) and world.started[0].is_waited_for.is_set())
    world.stamp, world.starts_ready = 2, True
    # Another thread gets a server of the new source, and the one that waits moves over to it.
    assert threads.submit(world.ready).result(1) == 1
    assert waiting.result(1) == 1


def test_closing_waits_for_no_server_and_ends_every_wait(world: World, threads: ThreadPoolExecutor) -> None:
    world.starts_ready = False
    waiting = threads.submit(world.ready)
    until("a server is waited for", lambda: bool(world.started) and world.started[0].is_waited_for.is_set())
    threads.submit(world.rotation.close).result(1)
    with pytest.raises(ForkServerError, match="closed"):
        waiting.result(1)
    with pytest.raises(ForkServerError, match="closed"):
        world.ready()
    assert len(world.started) == 1


def test_closing_retires_the_next_server_too(world: World) -> None:
    world.ready()
    world.started[0].launches = 9
    world.ready()
    world.rotation.close()
    assert [server.takes_launches for server in world.started] == [False, False]


@pytest.mark.parametrize("after", ["a minute", "a change of the source"])
def test_a_server_that_cannot_start_is_tried_again_after(world: World, after: str) -> None:
    world.starts_ready = False
    world.stamp = 5
    threading.Timer(0.1, lambda: world.fail(0, "no module named shop")).start()
    with pytest.raises(ForkServerError, match="no module named shop"):
        world.ready()
    assert not world.started[0].takes_launches
    world.now_s = RETRY_AFTER_S - 1
    with pytest.raises(ForkServerError, match="no module named shop"):
        world.ready()
    assert len(world.started) == 1
    world.starts_ready = True
    if after == "a minute":
        world.now_s = RETRY_AFTER_S
    else:
        world.stamp = 6
    assert world.ready() == 1


def test_the_failure_of_a_server_that_was_replaced_meanwhile_does_not_count(
    world: World, threads: ThreadPoolExecutor
) -> None:
    world.starts_ready = False
    waiting = threads.submit(world.ready)
    until("a server is waited for", lambda: bool(world.started) and world.started[0].is_waited_for.is_set())
    first = world.started[0]
    first.retire = lambda: None  # type: ignore[method-assign]
    world.stamp, world.starts_ready = 2, True
    assert world.ready() == 1
    world.fail(0, "too late")
    with pytest.raises(ForkServerError, match="too late"):
        waiting.result(1)
    assert world.ready() == 1
