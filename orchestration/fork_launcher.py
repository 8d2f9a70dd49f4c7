"""A run launcher that starts each run as a fork of a process that has imported everything.

Dagster's own launcher starts a new Python process for each run, which imports everything again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

from dagster import (
    Array,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultRunLauncher,
    Field,
    IntSource,
    StringSource,
)
from sqlalchemy.exc import SQLAlchemyError

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
from orchestration.exit_reporter import ExitReporter
from orchestration.fork_client import ForkServerClient, ServerGone, WorkerExit
from orchestration.fork_protocol import ForkServerError, ServerArguments
from orchestration.fork_server_state import ForkServerProblem, read_problem, write_problem
from orchestration.processes import wait_for_end
from orchestration.server_rotation import RETRY_AFTER_S, ServerRotation
from orchestration.source_stamp import SourceStamp, source_folders
from orchestration.takeover import started_at, take_over_runs
from orchestration.worker_tag import Worker

_RENEW_AFTER_RUNS = 200
_SOURCE_SUFFIXES = (".py",)
_TAKE_OVER_PAUSE_S = 1.0

logger = logging.getLogger(__name__)


class ForkRunLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Forks the runs of the configured module from a fork server; all other runs go to Dagster's DefaultRunLauncher.

    The daemon launches runs, the webserver terminates them: what both must know is in the run's tags.
    """

    def __init__(
        self,
        module: str,
        preload: str | None = None,
        source_folders: Sequence[str] = (),
        source_suffixes: Sequence[str] = _SOURCE_SUFFIXES,
        renew_after_runs: int = _RENEW_AFTER_RUNS,
        former_worker_tags: Sequence[str] = (),
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inst_data = inst_data
        self._module = module
        self._preload = preload
        self._source_folders = source_folders
        self._source_suffixes = source_suffixes
        self._renew_after_runs = renew_after_runs
        self._former_worker_tags = former_worker_tags
        self._fallback = DefaultRunLauncher()
        self._setting_up = threading.Lock()
        self._servers: ServerRotation | None = None
        self._reporter = ExitReporter(self._report_exit, self._launch_queued_runs)
        self._closed = threading.Event()
        # What was reported last; None: that there is a server.
        self._reported: str | None = "nothing yet"

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {
            "module": Field(StringSource, description="The module of the code location whose runs are forked."),
            "preload": Field(
                StringSource,
                is_required=False,
                description="`module:function` that is called, without arguments, before the first fork: it loads what"
                " runs share. It must not leave threads, connections or anything on a GPU.",
            ),
            "source_folders": Field(
                Array(StringSource),
                default_value=[],
                description="A change of a source file below these folders renews the fork server. Relative ones lie"
                " beside the module's top-level package; that package by default.",
            ),
            "source_suffixes": Field(
                Array(StringSource), default_value=list(_SOURCE_SUFFIXES), description="How names of source files end."
            ),
            "renew_after_runs": Field(
                IntSource, default_value=_RENEW_AFTER_RUNS, description="A fork server is renewed after so many runs."
            ),
            "former_worker_tags": Field(
                Array(StringSource),
                default_value=[],
                description="Tags in which earlier releases wrote a run's worker: runs in flight are still found.",
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
        self._closed.set()
        with self._setting_up:
            if self._servers is not None:
                self._servers.close()

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        coordinator = self._instance.run_coordinator
        if isinstance(coordinator, PromptRunCoordinator) and not coordinator.claim_launch(run):
            return
        try:
            self._launch(context)
        except BaseException:
            if isinstance(coordinator, PromptRunCoordinator):
                coordinator.release_launch(run.run_id)
            raise

    def can_fork(self, run: DagsterRun) -> bool:
        """Whether it is a run of the configured module."""
        origin = run.job_code_origin
        pointer = origin.repository_origin.code_pointer if origin is not None else None
        return isinstance(pointer, ModuleCodePointer) and pointer.module == self._module

    def _launch(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        origin = run.job_code_origin
        if origin is None or not self.can_fork(run):
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
            except ServerGone:
                continue  # it was renewed, or has died, since `prepare` returned it

    def prepare(self) -> ForkServerClient:
        """The fork server for the next run, ready. Raises ForkServerError where there can be none."""
        try:
            server = self._rotation().ready()
        except ForkServerError as error:
            if not self._closed.is_set():
                self._report_state(str(error))
            raise
        self._report_state(None)
        return server

    def prepare_in_background(self) -> None:
        """Keeps a fork server ready, so that no run waits for its imports, and tries again where there can be none.

        It also takes over the runs of the daemon before this one.
        """
        for work, name in ((self._keep_prepared, "preparing fork servers"), (self._take_over, "taking over runs")):
            threading.Thread(target=work, name=name, daemon=True).start()

    def _take_over(self) -> None:
        while not self._closed.is_set():
            try:
                for line in take_over_runs(self._instance, started_at(), self._worker, self._watch):
                    logger.info("%s", line)
                return
            except SQLAlchemyError:
                logger.exception("cannot take over the runs of the daemon before this one; trying again")
                self._closed.wait(_TAKE_OVER_PAUSE_S)

    def _keep_prepared(self) -> None:
        while not self._closed.is_set():
            # `prepare` has reported it.
            with suppress(ForkServerError):
                self.prepare()
            self._closed.wait(RETRY_AFTER_S)

    def _watch(self, worker: Worker) -> None:
        """Reports the end of a worker that the daemon before this one has started."""

        def await_end() -> None:
            wait_for_end(worker.pid)
            self._reporter.worker_ended(WorkerExit(worker.run, None, ""))

        threading.Thread(target=await_end, name=f"worker {worker.pid}", daemon=True).start()

    def _rotation(self) -> ServerRotation:
        with self._setting_up:
            if self._closed.is_set():
                raise ForkServerError("the run launcher is closed")
            if self._servers is None:
                folders = source_folders(self._module, self._source_folders)
                source = SourceStamp(folders, self._source_suffixes)
                self._servers = ServerRotation(self._start_server, source, self._renew_after_runs)
                self._reporter.start()
            return self._servers

    def _start_server(self) -> ForkServerClient:
        arguments = ServerArguments(self._module, self._preload, serialize_value(self._instance.get_ref()))
        return ForkServerClient(arguments, self._reporter.worker_ended)

    def _report_state(self, why: str | None) -> None:
        """Writes into the log and the database why there is no fork server, or that there is one, when it changes."""
        if why == self._reported:
            return
        self._reported = why
        problem = None if why is None else ForkServerProblem.now(self._module, why)
        if problem is not None:
            logger.error("%s", problem)
        try:
            write_problem(self._instance, problem)
        except SQLAlchemyError:
            logger.exception("cannot write the state of the fork server into the database")

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if self._worker(run) is None and GRPC_INFO_TAG in run.tags:
            return bool(self._fallback.terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        # Read again after that: a worker that has no tag even now will find the run canceling.
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return True
        worker = self._worker(run)
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
        """A run without a worker on this machine counts as running, as every run does with DefaultRunLauncher."""
        worker = self._worker(run)
        if worker is None or not worker.is_here or worker.is_alive:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"process {worker.pid} has ended")

    def _worker(self, run: DagsterRun) -> Worker | None:
        return Worker.of_run(run, self._former_worker_tags)

    def _launch_queued_runs(self) -> None:
        coordinator = self._instance.run_coordinator
        if isinstance(coordinator, PromptRunCoordinator) and not self._closed.is_set():
            coordinator.launch_queued_runs()

    def _report_exit(self, worker_exit: WorkerExit) -> None:
        run = self._instance.get_run_by_id(worker_exit.run_id)
        if run is None or run.is_finished:
            return
        worker = self._worker(run)
        if worker is not None and worker.is_here and worker.is_alive:
            # This one came second, and has left the run to the other.
            return
        if run.status == DagsterRunStatus.CANCELING:
            self._instance.report_run_canceled(run, str(worker_exit))
        else:
            self._instance.report_run_failed(run, str(worker_exit))


def fork_server_problem(instance: DagsterInstance) -> ForkServerProblem | None:
    """Why this instance's runs are not forked; None where they are, and where it has another run launcher."""
    return read_problem(instance) if isinstance(instance.run_launcher, ForkRunLauncher) else None
