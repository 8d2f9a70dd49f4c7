"""What steps print, in files for the UI, as Dagster's own manager keeps it but at less cost."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from dagster import BoolSource, Field

from orchestration._dagster import (
    IO_TYPE_EXTENSION,
    CapturedLogContext,
    ComputeIOType,
    ConfigurableClassData,
    LocalComputeLogManager,
    ensure_file,
    redirect_to_file,
    touch_file,
)


class FileComputeLogManager(LocalComputeLogManager):
    """Sends what a step prints to a file and nowhere else; with `enabled: false` it leaves the output alone.

    The stock class also prints everything where the run was started: for each stream it starts a `tail`, and a Python
    interpreter to watch it. That makes eight processes a run.
    """

    def __init__(
        self,
        base_dir: str,
        polling_timeout: float | None = None,
        enabled: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__(base_dir, polling_timeout, inst_data)
        self._enabled = enabled

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        enabled = Field(BoolSource, default_value=True, description="Whether what steps print is kept.")
        return {**super().config_type(), "enabled": enabled}  # type: ignore[dict-item]

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        if not self._enabled:
            yield CapturedLogContext(log_key)
            return
        with ExitStack() as redirected:
            for stream, kind in ((sys.stdout, ComputeIOType.STDOUT), (sys.stderr, ComputeIOType.STDERR)):
                path = self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind])
                ensure_file(path)
                redirected.enter_context(redirect_to_file(stream, path))
            yield CapturedLogContext(log_key)
        # The UI knows by this file that nothing will follow.
        touch_file(self.complete_artifact_path(log_key))  # type: ignore[no-untyped-call]

    def runs_with_logs_before(self, when: datetime) -> list[str]:
        """The runs that have printed something, and nothing since this time; also runs that are removed already."""
        of_steps = Path(self._base_dir).glob("*/compute_logs")
        return [folder.parent.name for folder in of_steps if folder.stat().st_mtime < when.timestamp()]

    def remove_tick_logs_before(self, when: datetime) -> int:
        """Removes what sensors and schedules logged before this time; Dagster removes their ticks, not the files."""
        logs = [path for path in Path(self._base_dir).glob("*/*/*.err") if path.parent.name != "compute_logs"]
        old = [path for path in logs if path.stat().st_mtime < when.timestamp()]
        for path in old:
            path.unlink()
        return len(old)
