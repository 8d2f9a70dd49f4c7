"""The same dagster.yaml with Dagster's own storages, run launcher, run coordinator and compute logs."""

from __future__ import annotations

from typing import Any

import yaml

_STORAGES = ("run_storage", "event_log_storage", "schedule_storage")
_REPLACED = (*_STORAGES, "run_launcher")


def stock_configuration(ours: str) -> str:
    """The text of a dagster.yaml with the stock classes in place of this library's; all else stays.

    The stock storages take the URL as it is, so it must name the schema (`schema_url.in_schema`).
    """
    configuration: dict[str, Any] = yaml.safe_load(ours)
    rest = {name: value for name, value in configuration.items() if name not in _REPLACED}
    # The stock class always keeps what steps print.
    rest["compute_logs"]["config"].pop("enabled", None)
    rest["compute_logs"] |= {
        "module": "dagster.core.storage.local_compute_log_manager",
        "class": "LocalComputeLogManager",
    }
    rest["run_coordinator"] |= {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"}
    database = {"postgres_url": {"env": configuration[_STORAGES[0]]["config"]["url_variable"]}}
    return str(yaml.safe_dump({"storage": {"postgres": database}, **rest}, sort_keys=False))
