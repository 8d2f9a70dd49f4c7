"""What a fork server does before its first fork, so that no run has to do it again."""

from __future__ import annotations

import importlib
import logging
import sys
import threading

from dagster import AssetKey, DagsterInstance

from orchestration._dagster import (
    IMPORTED_DURING_A_RUN,
    InstanceRef,
    deserialize_value,
    loadable_targets_from_python_module,
    repository_def_from_target_def,
)
from orchestration.fork_protocol import ForkServerError, ServerArguments
from orchestration.openmp import one_thread
from orchestration.storage import close_connections

logger = logging.getLogger(__name__)


def prepare(arguments: ServerArguments) -> DagsterInstance:
    """Imports what runs need, calls the preload function, and returns Dagster's instance for the workers.

    The instance has no open connection: a worker makes its own. Raises what importing the module raises, and
    ForkServerError when this process cannot be forked safely.
    """
    for name in IMPORTED_DURING_A_RUN:
        importlib.import_module(name)
    _build_jobs(arguments.module)
    instance = DagsterInstance.from_ref(deserialize_value(arguments.instance_ref, InstanceRef))
    _ask_once(instance)
    if arguments.preload is not None:
        _preload(arguments.preload)
    if "numpy" in sys.modules:
        # Each worker seeds it.
        importlib.import_module("numpy.random")
    require_forkable()
    return instance


def _build_jobs(module: str) -> None:
    for target in loadable_targets_from_python_module(module, working_directory=None):
        repository = repository_def_from_target_def(target.target_definition)
        if repository is not None:
            for job in repository.get_all_jobs():
                # A property that is built when it is first used.
                _ = job.run_config_schema


def _ask_once(instance: DagsterInstance) -> None:
    """Asks the database what each run would ask it about Dagster's tables; the storages remember the answers."""
    instance.get_run_records(limit=1)
    instance.get_asset_records([AssetKey("none")])
    instance.has_dynamic_partition("none", "none")
    # Properties, whose first use imports and asks.
    _ = instance.event_log_storage.supports_asset_checks, instance.compute_log_manager, instance.run_coordinator
    close_connections()


def _preload(target: str) -> None:
    """Calls the function that dagster.yaml names. If it fails, each run loads for itself what it needs."""
    module, _, function = target.partition(":")
    with one_thread():
        try:
            getattr(importlib.import_module(module), function)()
        except Exception:
            logger.exception("%s has failed: nothing is preloaded, and each run loads what it needs itself", target)


def require_forkable() -> None:
    """Raises ForkServerError for what does not survive a fork: CUDA, and threads other than this one."""
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
        raise ForkServerError("CUDA was initialised while importing, and does not survive a fork")
    if threading.active_count() > 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        raise ForkServerError(f"importing has started threads, and a fork may find their locks taken: {names}")
