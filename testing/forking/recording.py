"""A run launcher that starts no process: it records which runs it was given, and they count as started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from dagster import DagsterEvent, DagsterEventType, DagsterInstance

from orchestration._dagster import ConfigurableClass, ConfigurableClassData, LaunchRunContext, RunLauncher


class RecordingLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """`fails` makes each launch fail."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__()
        self._inst_data = inst_data
        self.launched: list[str] = []
        self.terminated: list[str] = []
        self.fails = False

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        if self.fails:
            raise RuntimeError("no memory")
        run = context.dagster_run
        self.launched.append(run.run_id)
        started = DagsterEvent(DagsterEventType.RUN_START.value, run.job_name)
        self._instance.report_dagster_event(started, run_id=run.run_id)

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        assert run is not None
        self.terminated.append(run_id)
        self._instance.report_run_canceled(run)
        return True
