"""Starts each run as a fork of a process that has imported everything; the stock launcher imports anew each time."""

from __future__ import annotations

import json
import logging
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, DefaultRunLauncher, Field

from orchestration._dagster import (
    GRPC_INFO_TAG,
    CheckRunHealthResult,
    ConfigurableClass,
    ConfigurableClassData,
    ExecuteRunArgs,
    LaunchRunContext,
    ModuleCodePointer,
    RunLauncher,
    WorkerStatus,
    serialize_value,
)
from orchestration.coordinator import PromptRunCoordinator
from orchestration.fork_server import ForkServerError, open_process
from orchestration.worker_tag import Worker
from resources.settings import PROJECT

_READY_WITHIN_S = 90.0
_STARTED_WITHIN_S = 30.0
# A server that cannot start is tried again after this, or once the source has changed.
_BROKEN_FOR_S = 60.0
# The share of a server's runs after which the next one is started.
_MAKE_READY_AT = 0.9
_REPORT_ATTEMPTS = 30
_REPORT_PAUSE_S = 2.0
_SOURCES = (".py", ".sql")
# A worker lives for one run: pictures that come and go keep their pages, instead of being given fresh ones each time.
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(256 << 20), "MALLOC_TRIM_THRESHOLD_": str(512 << 20)}
_SOURCE_FOLDERS = ("orchestration", "resources", "sensors", "sql", "stages", "variant_assets")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Exit:
    """A worker has ended; without its code where its server ended before it."""

    run_id: str
    exit_code: int | None
    output: str

    @property
    def text(self) -> str:
        if self.exit_code is None:
            how = "has ended"
        elif self.exit_code < 0:
            how = f"was ended by {signal.Signals(-self.exit_code).name}"
        else:
            how = f"ended with exit code {self.exit_code}"
        tail = f" Its last output:\n{self.output.strip()}" if self.output.strip() else ""
        return f"The worker of the run {how} before the run was over.{tail}"


class _ServerGone(Exception):
    """The server takes no launches any more."""


class _Server:
    """The launcher's side of one fork server."""

    def __init__(
        self, module: str, instance: DagsterInstance, stamp: tuple[int, int], exits: queue.SimpleQueue[_Exit]
    ) -> None:
        self.stamp = stamp
        self.launches = 0
        self._exits = exits
        self._lock = threading.Lock()
        self._gone = False
        self._ready: Future[int] = Future()
        self._starting: dict[str, Future[int]] = {}
        self._running: dict[str, int] = {}
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "orchestration.fork_server"),
                    *(str(theirs.fileno()), module, serialize_value(instance.get_ref())),
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env={**_MEMORY, **os.environ},
            )
        threading.Thread(target=self._listen, name=f"fork server {self._process.pid}", daemon=True).start()

    @property
    def takes_launches(self) -> bool:
        return not self._gone

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Raises ForkServerError with what the server says."""
        try:
            self._ready.result(_READY_WITHIN_S)
        except FutureTimeoutError:
            raise ForkServerError(f"no fork server within {_READY_WITHIN_S:.0f} s") from None

    def launch(self, run_id: str, arguments: str) -> int:
        """Returns the worker's process id."""
        started: Future[int] = Future()
        with self._lock:
            if self._gone:
                raise _ServerGone
            self.launches += 1
            self._starting[run_id] = started
            try:
                self._connection.sendall(json.dumps({"run_id": run_id, "arguments": arguments}).encode() + b"\n")
            except OSError as error:
                del self._starting[run_id]
                raise _ServerGone from error
        try:
            return started.result(_STARTED_WITHIN_S)
        except FutureTimeoutError:
            raise ForkServerError(f"no worker within {_STARTED_WITHIN_S:.0f} s") from None

    def retire(self) -> None:
        """It ends after its last worker, of whose end it tells still."""
        with self._lock:
            if not self._gone:
                self._gone = True
                self._connection.shutdown(socket.SHUT_WR)

    def _listen(self) -> None:
        with self._connection.makefile("rb") as messages:
            try:
                for line in messages:
                    self._take(json.loads(line))
            except ConnectionResetError:
                pass  # as good as its end
        self._process.wait()
        with self._lock:
            self._gone = True
            waiting = [self._ready, *self._starting.values()]
            self._starting.clear()
        self._connection.close()
        for future in waiting:
            if not future.done():
                future.set_exception(ForkServerError("the fork server ended unexpectedly"))
        # Only after a death: a server that was retired has outlived its workers.
        for run_id, pid in self._running.items():
            threading.Thread(target=self._await_orphan, args=(run_id, pid), daemon=True).start()

    def _take(self, message: Mapping[str, Any]) -> None:
        if "ready" in message:
            self._ready.set_result(message["ready"])
        elif "failed" in message:
            self._ready.set_exception(ForkServerError(message["failed"]))
        elif "started" in message:
            self._running[message["started"]] = message["pid"]
            self._answer(message["started"]).set_result(message["pid"])
        elif "refused" in message:
            self._answer(message["refused"]).set_exception(ForkServerError(message["why"]))
        else:
            del self._running[message["ended"]]
            self._exits.put(_Exit(message["ended"], message["exit_code"], message["output"]))

    def _answer(self, run_id: str) -> Future[int]:
        with self._lock:
            return self._starting.pop(run_id)

    def _await_orphan(self, run_id: str, pid: int) -> None:
        process = open_process(pid)
        if process is not None:
            try:
                select.select([process], [], [])
            finally:
                os.close(process)
        self._exits.put(_Exit(run_id, None, ""))


class ForkRunLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Runs of the configured module are forks of a fork server; all others go to Dagster's DefaultRunLauncher.

    Runs are launched by the daemon, and terminated by the webserver: all that both must know stands in the run's tags.
    """

    def __init__(
        self,
        module: str = "variant_assets.definitions",
        renew_after_runs: int = 200,
        source_folder: str | None = None,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inst_data = inst_data
        self._module = module
        self._renew_after_runs = renew_after_runs
        self._folders = [Path(source_folder)] if source_folder else [PROJECT / name for name in _SOURCE_FOLDERS]
        self._fallback = DefaultRunLauncher()
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._next: _Server | None = None
        self._closed = False
        self._broken: tuple[tuple[int, int], float, str] | None = None
        self._exits: queue.SimpleQueue[_Exit] = queue.SimpleQueue()
        self._reporter: threading.Thread | None = None

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {
            "module": Field(
                str, default_value="variant_assets.definitions", description="The code location whose runs are forked."
            ),
            "renew_after_runs": Field(int, default_value=200, description="A fork server forks this many runs."),
            "source_folder": Field(
                str, is_required=False, description="A change below it renews the fork server; the project by default."
            ),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data, **config_value)

    def register_instance(self, instance: DagsterInstance) -> None:
        super().register_instance(instance)
        self._fallback.register_instance(instance)

    def dispose(self) -> None:
        """No more launches; runs go on to their end."""
        with self._lock:
            for server in (self._server, self._next):
                if server is not None:
                    server.retire()
            self._server = self._next = None
            self._closed = True

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        coordinator = self._instance.run_coordinator
        if isinstance(coordinator, PromptRunCoordinator) and not coordinator.confirms(run):
            return
        try:
            self._launch(context)
        except BaseException:
            if isinstance(coordinator, PromptRunCoordinator):
                coordinator.forget(run.run_id)
            raise

    def forks(self, run: DagsterRun) -> bool:
        """Whether it is a run of the configured module."""
        origin = run.job_code_origin
        pointer = origin.repository_origin.code_pointer if origin is not None else None
        return isinstance(pointer, ModuleCodePointer) and pointer.module == self._module

    def _launch(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        origin = run.job_code_origin
        if origin is None or not self.forks(run):
            self._fallback.launch_run(context)
            return
        arguments = serialize_value(ExecuteRunArgs(origin, run.run_id, self._instance.get_ref()))
        while True:
            try:
                server = self.prepare()
            except ForkServerError as error:
                if context.workspace is None:
                    raise
                self._instance.report_engine_event(
                    f"There is no fork server ({error}); the code server starts this run.", run, cls=type(self)
                )
                self._fallback.launch_run(context)
                return
            try:
                server.launch(run.run_id, arguments)
                return
            except _ServerGone:
                continue  # it has been renewed, or was killed, since we got it

    def prepare_in_background(self) -> None:
        """So that the first run does not wait for the imports; what fails here fails that run, and is said there."""
        threading.Thread(target=self._try_to_prepare, name="first fork server", daemon=True).start()

    def _try_to_prepare(self) -> None:
        try:
            self.prepare()
        except ForkServerError:
            logger.exception("there is no fork server yet")

    def prepare(self) -> _Server:
        """The server for the next run, ready. Raises ForkServerError where there can be none."""
        with self._lock:
            stamp = self._stamp()
            if self._broken is not None:
                broken_stamp, at_s, why = self._broken
                if broken_stamp == stamp and time.monotonic() - at_s < _BROKEN_FOR_S:
                    raise ForkServerError(why)
                self._broken = None
            server = self._server
            if (
                server is None
                or not server.takes_launches
                or server.stamp != stamp
                or server.launches >= self._renew_after_runs
            ):
                if server is not None:
                    server.retire()
                server = self._server = self._following(stamp)
            if self._next is None and server.launches >= self._renew_after_runs * _MAKE_READY_AT:
                # Ready when its turn comes, and nobody waits for its imports.
                self._next = _Server(self._module, self._instance, stamp, self._exits)
            if self._reporter is None:
                self._reporter = threading.Thread(target=self._report_exits, name="exits of workers", daemon=True)
                self._reporter.start()
            try:
                server.wait_until_ready()
            except ForkServerError as error:
                self._broken = (stamp, time.monotonic(), str(error))
                self._server = None
                server.retire()
                raise
            return server

    def _following(self, stamp: tuple[int, int]) -> _Server:
        following, self._next = self._next, None
        if following is not None:
            if following.takes_launches and following.stamp == stamp:
                return following
            following.retire()
        return _Server(self._module, self._instance, stamp, self._exits)

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if Worker.of_run(run) is None and GRPC_INFO_TAG in run.tags:
            return bool(self._fallback.terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        # Read again after that: a worker that has no tag even now will find the run canceling.
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return True
        worker = Worker.of_run(run)
        if worker is None:
            return True
        if not worker.is_here:
            self._instance.report_engine_event(
                f"The run's worker is a process of {worker.host}, which cannot be reached from here.",
                run,
                cls=type(self),
            )
            return False
        if not worker.interrupt():
            run = self._instance.get_run_by_id(run_id)
            if run is not None and not run.is_finished:
                self._instance.report_run_canceled(run, "The run's worker had ended already.")
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """A run that has no worker here is nothing that can be looked at: it counts as running, as it does stock."""
        worker = Worker.of_run(run)
        if worker is None or not worker.is_here or worker.is_alive:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"process {worker.pid} has ended")

    def _stamp(self) -> tuple[int, int]:
        """Changes with every source file that is written, made or removed."""
        times = [
            file.stat().st_mtime_ns for folder in self._folders for file in folder.rglob("*") if file.suffix in _SOURCES
        ]
        return len(times), max(times, default=0)

    def _report_exits(self) -> None:
        while True:
            ended = self._exits.get()
            for _ in range(_REPORT_ATTEMPTS):
                try:
                    self._report(ended)
                    break
                except Exception:
                    # The database may be down, and with it perhaps the worker; run monitoring looks as well.
                    logger.exception("cannot report that the worker of run %s ended; it is tried again", ended.run_id)
                    time.sleep(_REPORT_PAUSE_S)
            self._use_its_room()

    def _use_its_room(self) -> None:
        coordinator = self._instance.run_coordinator
        if isinstance(coordinator, PromptRunCoordinator) and not self._closed:
            try:
                coordinator.start_waiting()
            except Exception:
                logger.exception("what waits is left to the queue")

    def _report(self, ended: _Exit) -> None:
        run = self._instance.get_run_by_id(ended.run_id)
        if run is None or run.is_finished:
            return
        if run.status == DagsterRunStatus.CANCELING:
            self._instance.report_run_canceled(run, ended.text)
        else:
            self._instance.report_run_failed(run, ended.text)
