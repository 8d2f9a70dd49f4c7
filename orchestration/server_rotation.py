"""Which fork server the next run is forked from."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestration.fork_client import ForkServerClient, ServerGone
from orchestration.fork_protocol import ForkServerError
from orchestration.source_stamp import SourceStamp

# After a server that could not start, the next is started after this time, or once the source has changed.
RETRY_AFTER_S = 60.0
# The share of a server's runs after which the next server is started.
_START_NEXT_AT = 0.9


@dataclass(frozen=True)
class _Server:
    client: ForkServerClient
    stamp: int
    """The state of the source when it was started."""


@dataclass(frozen=True)
class _Failure:
    stamp: int
    at_s: float
    why: str


class ServerRotation:
    """Starts a new fork server when the source has changed, after a number of runs, and when the last one has died.

    The lock is held only while a server is chosen, never while one starts: `ready` waits without it.
    """

    def __init__(
        self,
        start: Callable[[], ForkServerClient],
        source: SourceStamp,
        renew_after_runs: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._source = source
        self._renew_after_runs = renew_after_runs
        self._clock = clock
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._next: _Server | None = None
        self._failure: _Failure | None = None
        self._is_closed = False

    def ready(self) -> ForkServerClient:
        """The server for the next run. Raises ForkServerError where there can be none."""
        while True:
            server = self._choose()
            try:
                server.client.wait_until_ready()
                return server.client
            except ServerGone:
                continue  # another thread has retired it meanwhile
            except ForkServerError as error:
                self._give_up(server, str(error))
                raise

    def close(self) -> None:
        """No more launches; runs go on to their end."""
        with self._lock:
            self._is_closed = True
            self._retire(self._server)
            self._retire(self._next)
            self._server = self._next = None

    def _choose(self) -> _Server:
        with self._lock:
            if self._is_closed:
                raise ForkServerError("the run launcher is closed")
            stamp = self._source.current()
            self._raise_recent_failure(stamp)
            server = self._server
            if server is None or not self._may_serve(server, stamp):
                self._retire(server)
                server = self._server = self._following(stamp)
            if self._next is None and server.client.launches >= self._renew_after_runs * _START_NEXT_AT:
                # It is ready when its turn comes, and no run waits for its imports.
                self._next = _Server(self._start(), stamp)
            return server

    def _raise_recent_failure(self, stamp: int) -> None:
        failure = self._failure
        if failure is not None and failure.stamp == stamp and self._clock() - failure.at_s < RETRY_AFTER_S:
            raise ForkServerError(failure.why)

    def _may_serve(self, server: _Server, stamp: int) -> bool:
        return (
            server.client.takes_launches and server.stamp == stamp and server.client.launches < self._renew_after_runs
        )

    def _following(self, stamp: int) -> _Server:
        following, self._next = self._next, None
        if following is not None and following.client.takes_launches and following.stamp == stamp:
            return following
        self._retire(following)
        return _Server(self._start(), stamp)

    def _give_up(self, server: _Server, why: str) -> None:
        with self._lock:
            if self._server is server:
                self._failure = _Failure(server.stamp, self._clock(), why)
                self._server = None
            self._retire(server)

    @staticmethod
    def _retire(server: _Server | None) -> None:
        if server is not None:
            server.client.retire()
