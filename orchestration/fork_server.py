"""A process of one thread that has imported everything a run needs, and forks a worker for each run.

Imports no Dagster by itself: the signals are set before the long imports begin.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import select
import selectors
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, NoReturn

from orchestration.fork_protocol import ServerArguments, encoded
from orchestration.openmp import all_threads
from orchestration.processes import PROCESS_VARIABLE, TERMINATION_SIGNALS, open_process

_TAIL_BYTES = 4000
# After the service has ended, a worker has this long to end its run.
_TERMINATION_GRACE_S = 15.0


@dataclass
class _Worker:
    run_id: str
    pid: int
    output: IO[bytes]


class ForkServer:
    """Forks a worker for each request of one launcher; ends when the launcher has closed the connection and the last
    worker has ended.

    `execute_run` is called in each worker with the request's arguments, with SIGINT and SIGTERM blocked.
    """

    def __init__(self, connection: socket.socket, execute_run: Callable[[str], None]) -> None:
        self._connection = connection
        self._execute_run = execute_run
        self._launcher_pid = os.getppid()
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, _Worker] = {}
        self._received = b""
        self._is_serving = True
        self._is_connected = True
        self._service = open_process(_parent_of(self._launcher_pid))
        self._kill_at_s: float | None = None

    def serve(self) -> None:
        self._selector.register(self._connection, selectors.EVENT_READ, self._read)
        self._send(ready=os.getpid())
        while self._is_serving or self._workers:
            for key, _ in self._selector.select(None if self._is_serving else 1.0):
                key.data()
            if not self._is_serving and os.getppid() != self._launcher_pid:
                self._terminate_workers_without_service()

    def _read(self) -> None:
        try:
            data = self._connection.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            # No more launches; the workers go on.
            self._is_serving = False
            self._selector.unregister(self._connection)
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._launch(json.loads(line))

    def _launch(self, request: dict[str, str]) -> None:
        # A file without a name: it is deleted with its last user, and nobody else can write to it.
        output = tempfile.TemporaryFile()  # noqa: SIM115
        sys.stdout.flush()
        sys.stderr.flush()
        # A worker must not lose a signal before it can handle one.
        signal.pthread_sigmask(signal.SIG_BLOCK, TERMINATION_SIGNALS)
        try:
            pid = os.fork()
        except OSError as error:
            output.close()
            self._send(refused=request["run_id"], why=f"cannot fork: {error}")
            return
        else:
            if pid == 0:
                self._become_worker(request, output)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINATION_SIGNALS)
        process = os.pidfd_open(pid)
        self._workers[process] = _Worker(request["run_id"], pid, output)
        self._selector.register(process, selectors.EVENT_READ, lambda: self._reap(process))
        self._send(started=request["run_id"], pid=pid)

    def _reap(self, process: int) -> None:
        worker = self._workers.pop(process)
        self._selector.unregister(process)
        os.close(process)
        _, status = os.waitpid(worker.pid, 0)
        with worker.output as output:
            size = output.seek(0, os.SEEK_END)
            output.seek(max(0, size - _TAIL_BYTES))
            tail = output.read().decode(errors="replace")
        exit_code = os.waitstatus_to_exitcode(status)
        if exit_code != 0:
            ended = f"worker {worker.pid} of run {worker.run_id} ended with {exit_code}"
            print(f"{ended}\n{tail}", file=sys.stderr, flush=True)
        self._send(ended=worker.run_id, exit_code=exit_code, output=tail)

    def _send(self, **message: Any) -> None:
        if not self._is_connected:
            return
        try:
            self._connection.sendall(encoded(**message))
        except (BrokenPipeError, ConnectionResetError):
            # The launcher has died: run monitoring finds the workers by their runs' tags.
            self._is_connected = False

    def _terminate_workers_without_service(self) -> None:
        # A daemon that died alone is started again, and the runs go on. When the service has ended, they end too.
        if self._service is not None and not _has_ended(self._service):
            return
        if self._kill_at_s is None:
            self._kill_at_s = time.monotonic() + _TERMINATION_GRACE_S
            sign = signal.SIGTERM
        elif time.monotonic() > self._kill_at_s:
            sign = signal.SIGKILL
        else:
            return
        for process in self._workers:
            # It may have ended meanwhile.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, sign)

    def _become_worker(self, request: dict[str, str], output: IO[bytes]) -> NoReturn:
        exit_code = 1
        try:
            # What only the server may hold: with a copy of the connection here, nobody would notice the server's death.
            self._connection.close()
            self._selector.close()
            for process, worker in self._workers.items():
                os.close(process)
                worker.output.close()
            if self._service is not None:
                os.close(self._service)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            # Not to descriptor 2, for Dagster points that at the compute log while an asset runs.
            faulthandler.enable(file=output.fileno())
            all_threads()
            self._execute_run(request["arguments"])
            exit_code = 0
        finally:
            if exit_code != 0:
                traceback.print_exc()
            # A worker must run neither the server's exit handlers nor its callers' cleaning up.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(exit_code)


def _has_ended(process: int) -> bool:
    return bool(select.select([process], [], [], 0)[0])


def _parent_of(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).ppid())
    except psutil.NoSuchProcess:
        return 1


def main() -> None:
    """Serves the socket whose descriptor is the first argument; the second is a ServerArguments as JSON."""
    descriptor, arguments = sys.argv[1:]
    connection = socket.socket(fileno=int(descriptor))
    # The launcher closes the connection when the service ends or Ctrl-C is pressed; workers get signals of their own.
    for sign in TERMINATION_SIGNALS:
        signal.signal(sign, signal.SIG_IGN)
    # Workers are not the daemon: what they submit waits in the queue.
    os.environ.pop(PROCESS_VARIABLE, None)
    try:
        from orchestration.fork_preparation import prepare
        from orchestration.fork_worker import execute_run

        instance = prepare(ServerArguments(**json.loads(arguments)))
    except Exception as error:
        # Dagster wraps an error of the module into one of its own.
        cause = error.__cause__ or error
        connection.sendall(encoded(failed=f"{type(cause).__name__}: {cause}"))
        raise
    # What is here already is never garbage; a collection in a worker would copy its pages.
    gc.collect()
    gc.freeze()
    ForkServer(connection, partial(execute_run, prepared=instance)).serve()


if __name__ == "__main__":
    main()
