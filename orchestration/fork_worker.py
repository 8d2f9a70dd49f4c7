"""What a forked worker does: it executes one run."""

from __future__ import annotations

import os
import signal
import sys

from dagster import DagsterInstance

from orchestration._dagster import (
    EngineEventData,
    ExecuteRunArgs,
    capture_interrupts,
    core_execute_run,
    deserialize_value,
    recon_job_from_origin,
)
from orchestration.processes import TERMINATION_SIGNALS
from orchestration.run_claim import begin_run


def execute_run(arguments: str, prepared: DagsterInstance) -> None:
    """Executes one run in this process, with the steps of Dagster's own worker (`dagster api execute_run`).

    `arguments` is an ExecuteRunArgs as `serialize_value` writes it. The prepared instance is used if it is the run's.
    SIGINT and SIGTERM are blocked by the caller, and unblocked here once they cancel the run.
    """
    if "numpy" in sys.modules:
        # Without a new seed every run would draw the same numbers; Python's own generator does this by itself.
        sys.modules["numpy"].random.seed()
    run_arguments = deserialize_value(arguments, ExecuteRunArgs)
    run_id = run_arguments.run_id
    assert run_arguments.instance_ref is not None
    with capture_interrupts():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINATION_SIGNALS)
        is_prepared = run_arguments.instance_ref == prepared.get_ref()
        with prepared if is_prepared else DagsterInstance.from_ref(run_arguments.instance_ref) as instance:
            run = begin_run(instance, run_id)
            if run is None:
                return
            pid = os.getpid()
            instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))
            try:
                job = recon_job_from_origin(run_arguments.job_origin)
                for _ in core_execute_run(job, run, instance, inject_env_vars=False):
                    pass
            finally:
                instance.report_engine_event(f"Process for run exited (pid: {pid}).", run)
