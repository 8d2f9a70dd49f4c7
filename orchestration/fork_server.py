"""A process of one thread that has imported everything a run needs, and forks a worker for each run."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import json
import logging
import os
import select
import selectors
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, NoReturn

from orchestration.processes import PROCESS_VARIABLE
from resources.settings import Settings, parse_setting

if TYPE_CHECKING:
    from dagster import DagsterInstance

_TAIL_BYTES = 4000
# After the service has gone, a worker has this long to end its run.
_PATIENCE_S = 15.0
# What Dagster imports only in the middle of a run.
_NEEDED = (
    "numpy.fft",
    "numpy.ma",
    "numpy.random",
    "orchestration.worker_tag",
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

logger = logging.getLogger(__name__)


class ForkServerError(Exception):
    """This process cannot serve; the message says why."""


@dataclass
class _Child:
    run_id: str
    pid: int
    output: IO[bytes]


class ForkServer:
    """Serves requests of one launcher, a JSON object a line, until it hangs up and the last worker has ended."""

    def __init__(self, connection: socket.socket, instance: DagsterInstance) -> None:
        self._connection = connection
        self._instance = instance
        self._launcher_pid = os.getppid()
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, _Child] = {}
        self._received = b""
        self._serving = True
        self._launcher_listens = True
        self._service = open_process(_parent_of(self._launcher_pid))
        self._kill_at_s: float | None = None

    def serve(self) -> None:
        self._selector.register(self._connection, selectors.EVENT_READ, self._read)
        self._tell(ready=os.getpid())
        while self._serving or self._children:
            for key, _ in self._selector.select(None if self._serving else 1.0):
                key.data()
            if not self._serving and os.getppid() != self._launcher_pid:
                self._end_children_of_a_service_that_is_gone()

    def _read(self) -> None:
        try:
            data = self._connection.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            # No more launches; the workers go on.
            self._serving = False
            self._selector.unregister(self._connection)
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._launch(json.loads(line))

    def _launch(self, request: dict[str, str]) -> None:
        # Deleted with its last user; nobody else can write to it.
        output = tempfile.TemporaryFile()  # noqa: SIM115
        sys.stdout.flush()
        sys.stderr.flush()
        # A worker must not lose a signal before it can take one.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
        except OSError as error:
            output.close()
            self._tell(refused=request["run_id"], why=f"cannot fork: {error}")
            return
        else:
            if pid == 0:
                self._become_worker(request, output)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        process = os.pidfd_open(pid)
        self._children[process] = _Child(request["run_id"], pid, output)
        self._selector.register(process, selectors.EVENT_READ, lambda: self._reap(process))
        self._tell(started=request["run_id"], pid=pid)

    def _reap(self, process: int) -> None:
        child = self._children.pop(process)
        self._selector.unregister(process)
        os.close(process)
        _, status = os.waitpid(child.pid, 0)
        with child.output as output:
            size = output.seek(0, os.SEEK_END)
            output.seek(max(0, size - _TAIL_BYTES))
            tail = output.read().decode(errors="replace")
        exit_code = os.waitstatus_to_exitcode(status)
        if exit_code != 0:
            print(
                f"worker {child.pid} of run {child.run_id} ended with {exit_code}\n{tail}", file=sys.stderr, flush=True
            )
        self._tell(ended=child.run_id, exit_code=exit_code, output=tail)

    def _tell(self, **message: Any) -> None:
        if not self._launcher_listens:
            return
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            # The launcher has died: run monitoring finds the workers by their runs' tags.
            self._launcher_listens = False

    def _end_children_of_a_service_that_is_gone(self) -> None:
        # A daemon that died alone is started again, and its workers' runs go on; without a service nobody wants them.
        if self._service is not None and not _has_ended(self._service):
            return
        if self._kill_at_s is None:
            self._kill_at_s = time.monotonic() + _PATIENCE_S
            sign = signal.SIGTERM
        elif time.monotonic() > self._kill_at_s:
            sign = signal.SIGKILL
        else:
            return
        for process in self._children:
            # Gone between our look and our signal is as good.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, sign)

    def _become_worker(self, request: dict[str, str], output: IO[bytes]) -> NoReturn:
        exit_code = 1
        try:
            # What only the server may hold: an end of the connection kept here would hide its death.
            self._connection.close()
            self._selector.close()
            for process, child in self._children.items():
                os.close(process)
                child.output.close()
            if self._service is not None:
                os.close(self._service)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            # Not to descriptor 2, for Dagster points that at the compute log while an asset runs.
            faulthandler.enable(file=output.fileno())
            _take_threads()
            _run(request["arguments"], self._instance)
            exit_code = 0
        finally:
            if exit_code != 0:
                traceback.print_exc()
            # Nothing of the server's own may be undone here: no exit handlers, no frames further up.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(exit_code)


def _run(arguments: str, prepared: DagsterInstance) -> None:
    """Runs one run in this process, as Dagster's own worker does; on the prepared instance, if it is the run's."""
    import numpy
    from dagster import DagsterInstance

    from orchestration._dagster import (
        EngineEventData,
        ExecuteRunArgs,
        capture_interrupts,
        core_execute_run,
        deserialize_value,
        recon_job_from_origin,
    )
    from orchestration.worker_tag import Worker

    # Or every run would draw the same numbers; Python's own generator sees to it itself.
    numpy.random.seed()
    run_arguments = deserialize_value(arguments, ExecuteRunArgs)
    run_id = run_arguments.run_id
    assert run_arguments.instance_ref is not None
    with capture_interrupts():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        is_ours = run_arguments.instance_ref == prepared.get_ref()
        with prepared if is_ours else DagsterInstance.from_ref(run_arguments.instance_ref) as instance:
            # Before the run's status is read: whoever terminates it writes the status first and then looks for the tag.
            instance.add_run_tags(run_id, Worker.of_this_process(run_id).tags)
            run = instance.get_run_by_id(run_id)
            if run is None:
                raise ForkServerError(f"run {run_id} is not in the database that its worker reads")
            instance.report_engine_event(
                f"Started process for run (pid: {os.getpid()}).", run, EngineEventData.in_process(os.getpid())
            )
            try:
                for _ in core_execute_run(
                    recon_job_from_origin(run_arguments.job_origin), run, instance, inject_env_vars=False
                ):
                    pass
            finally:
                instance.report_engine_event(f"Process for run exited (pid: {os.getpid()}).", run)


def _prepare(module: str, instance_ref: str) -> DagsterInstance:
    """Imports what runs need, and asks the database once what each run would ask it about Dagster's tables.

    The instance has no open connection: a worker makes its own.
    """
    from dagster import AssetKey, DagsterInstance

    from orchestration._dagster import (
        IMPORTED_DURING_A_RUN,
        InstanceRef,
        deserialize_value,
        loadable_targets_from_python_module,
        repository_def_from_target_def,
    )
    from orchestration.storage import close_connections

    for name in (*IMPORTED_DURING_A_RUN, *_NEEDED):
        importlib.import_module(name)
    for target in loadable_targets_from_python_module(module, working_directory=None):
        repository = repository_def_from_target_def(target.target_definition)
        if repository is not None:
            for job in repository.get_all_jobs():
                # A property that is built when it is first used.
                _ = job.run_config_schema
    instance = DagsterInstance.from_ref(deserialize_value(instance_ref, InstanceRef))
    instance.get_run_records(limit=1)
    instance.get_asset_records([AssetKey("none")])
    instance.has_dynamic_partition("none", "none")
    # Properties, whose first use imports and asks.
    _ = instance.event_log_storage.supports_asset_checks, instance.compute_log_manager, instance.run_coordinator
    close_connections()
    if parse_setting("PRELOAD_MODELS", os.environ):
        _preload()
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
        raise ForkServerError("CUDA was initialised while importing, and does not survive a fork")
    if threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise ForkServerError(f"importing has started threads, and a fork may find their locks taken: {names}")
    return instance


def _preload() -> None:
    """The models that survive a fork. What does not load is each run's own error, and says so there."""
    from resources.wiring import preload

    given = os.environ.get("OMP_NUM_THREADS")
    # A child of a process in which OpenMP has had threads waits for them for ever.
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        left_out = preload(Settings.from_environment(os.environ), to_be_forked=True)
        if left_out:
            logger.warning("%s cannot be shared by forked runs; each run loads its own", ", ".join(left_out))
    except Exception:
        logger.exception("the models are not preloaded; each run loads them itself")
    finally:
        if given is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = given


def _take_threads() -> None:
    """In a child: as many threads as torch would have without the server's caution."""
    if "torch" in sys.modules:
        given = os.environ.get("OMP_NUM_THREADS", "")
        sys.modules["torch"].set_num_threads(int(given) if given.isdecimal() else len(os.sched_getaffinity(0)))


def open_process(pid: int) -> int | None:
    """A handle that stays this process's; None for one that has ended."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _has_ended(process: int) -> bool:
    return bool(select.select([process], [], [], 0)[0])


def _parent_of(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).ppid())
    except psutil.NoSuchProcess:
        return 1


def main() -> None:
    """Serves the socket that is inherited as the first argument; then come definitions' module and instance."""
    descriptor, module, instance_ref = sys.argv[1:]
    connection = socket.socket(fileno=int(descriptor))
    # Of Ctrl-C and of the end of the service the launcher tells, and each worker is told itself.
    for sign in _SIGNALS:
        signal.signal(sign, signal.SIG_IGN)
    # Workers are not the daemon: what they submit waits in the queue.
    os.environ.pop(PROCESS_VARIABLE, None)
    try:
        instance = _prepare(module, instance_ref)
    except Exception as error:
        connection.sendall(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        raise
    # What is here already is never garbage; a collection in a worker would copy its pages.
    gc.collect()
    gc.freeze()
    ForkServer(connection, instance).serve()


if __name__ == "__main__":
    main()
