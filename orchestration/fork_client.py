"""The launcher's side of one fork server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import asdict, dataclass
from typing import Any

from orchestration.fork_protocol import ForkServerError, ServerArguments, encoded
from orchestration.processes import wait_for_end

_READY_WITHIN_S = 90.0
_STARTED_WITHIN_S = 30.0
# A worker lives for one run: pictures that come and go keep their pages, instead of being given fresh ones each time.
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(256 << 20), "MALLOC_TRIM_THRESHOLD_": str(512 << 20)}


def _start(descriptor: int, arguments: ServerArguments) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "orchestration.fork_server", str(descriptor), json.dumps(asdict(arguments))]
    return subprocess.Popen(command, pass_fds=(descriptor,), stdin=subprocess.DEVNULL, env={**_MEMORY, **os.environ})


@dataclass(frozen=True)
class WorkerExit:
    """A worker has ended; `exit_code` is None where its server ended before it."""

    run_id: str
    exit_code: int | None
    output: str

    def __str__(self) -> str:
        if self.exit_code is None:
            how = "has ended"
        elif self.exit_code < 0:
            how = f"was ended by {signal.Signals(-self.exit_code).name}"
        else:
            how = f"ended with exit code {self.exit_code}"
        tail = f" Its last output:\n{self.output.strip()}" if self.output.strip() else ""
        return f"The worker of the run {how} before the run was over.{tail}"


class ServerGone(Exception):
    """The server takes no launches any more: it was retired, or it has ended."""


class ForkServerClient:
    """Starts a fork server, and sends it launches. `on_exit` is called, in a thread, for each worker that has ended.

    Raises ForkServerError if the machine can start no process.
    """

    def __init__(self, arguments: ServerArguments, on_exit: Callable[[WorkerExit], None]) -> None:
        self.launches = 0
        self._on_exit = on_exit
        self._lock = threading.Lock()
        self._is_gone = False
        self._is_retired = False
        self._ready: Future[int] = Future()
        self._starting: dict[str, Future[int]] = {}
        self._running: dict[str, int] = {}
        self._connection, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _start(theirs.fileno(), arguments)
        except OSError as error:
            self._connection.close()
            raise ForkServerError(f"no process could be started: {error}") from error
        threading.Thread(target=self._listen, name=f"fork server {self._process.pid}", daemon=True).start()

    @property
    def takes_launches(self) -> bool:
        return not self._is_gone

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Raises ForkServerError if it cannot start, with the server's own words, and ServerGone if it is retired."""
        try:
            self._ready.result(_READY_WITHIN_S)
        except FutureTimeoutError:
            raise ForkServerError(f"no fork server within {_READY_WITHIN_S:.0f} s") from None

    def launch(self, run_id: str, arguments: str) -> int:
        """Returns the worker's process id. Raises ServerGone, or ForkServerError if no worker starts."""
        started: Future[int] = Future()
        with self._lock:
            if self._is_gone:
                raise ServerGone
            self.launches += 1
            self._starting[run_id] = started
            try:
                self._connection.sendall(encoded(run_id=run_id, arguments=arguments))
            except OSError as error:
                del self._starting[run_id]
                raise ServerGone from error
        try:
            return started.result(_STARTED_WITHIN_S)
        except FutureTimeoutError:
            raise ForkServerError(f"no worker within {_STARTED_WITHIN_S:.0f} s") from None

    def retire(self) -> None:
        """No more launches: the server ends after its last worker, and still reports that worker's end.

        A server that is not ready has no worker; it is killed, for it may hang in an import.
        """
        with self._lock:
            if self._is_gone:
                return
            self._is_gone = self._is_retired = True
            if self._ready.done():
                self._connection.shutdown(socket.SHUT_WR)
            else:
                self._process.kill()

    def _listen(self) -> None:
        with self._connection.makefile("rb") as messages:
            try:
                for line in messages:
                    self._handle(json.loads(line))
            except ConnectionResetError:
                pass  # the same as the end of the messages
        exit_code = self._process.wait()
        with self._lock:
            self._is_gone = True
            starting = list(self._starting.values())
            self._starting.clear()
        self._connection.close()
        died = ForkServerError(f"the fork server ended unexpectedly with exit code {exit_code}")
        if not self._ready.done():
            self._ready.set_exception(ServerGone() if self._is_retired else died)
        for future in starting:
            # Not ServerGone, upon which the run would be launched again: its worker may have begun.
            future.set_exception(died)
        # Only where it died: a server that was retired ends after its workers.
        for run_id, pid in self._running.items():
            threading.Thread(target=self._await_orphan, args=(run_id, pid), daemon=True).start()

    def _handle(self, message: Mapping[str, Any]) -> None:
        if "ready" in message:
            self._ready.set_result(message["ready"])
        elif "failed" in message:
            self._ready.set_exception(ForkServerError(message["failed"]))
        elif "started" in message:
            self._running[message["started"]] = message["pid"]
            self._waiting_for(message["started"]).set_result(message["pid"])
        elif "refused" in message:
            self._waiting_for(message["refused"]).set_exception(ForkServerError(message["why"]))
        else:
            del self._running[message["ended"]]
            self._on_exit(WorkerExit(message["ended"], message["exit_code"], message["output"]))

    def _waiting_for(self, run_id: str) -> Future[int]:
        with self._lock:
            return self._starting.pop(run_id)

    def _await_orphan(self, run_id: str, pid: int) -> None:
        wait_for_end(pid)
        self._on_exit(WorkerExit(run_id, None, ""))
