"""What the steps print, in files for the UI, as Dagster's own manager keeps it but at less cost."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

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
from resources.settings import parse_setting


class FileComputeLogManager(LocalComputeLogManager):
    """Sends what is printed to its file and nowhere else, or leaves it alone with `COMPUTE_LOGS=off`.

    The stock class starts a `tail` and a Python interpreter to watch it for each stream, to print everything a second
    time where the run was started; eight processes a run.
    """

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        if parse_setting("COMPUTE_LOGS", os.environ) == "off":
            yield CapturedLogContext(log_key)
            return
        with ExitStack() as redirected:
            for stream, kind in ((sys.stdout, ComputeIOType.STDOUT), (sys.stderr, ComputeIOType.STDERR)):
                path = self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind])
                ensure_file(path)
                redirected.enter_context(redirect_to_file(stream, path))
            yield CapturedLogContext(log_key)
        # How the UI knows that nothing will follow.
        touch_file(self.complete_artifact_path(log_key))  # type: ignore[no-untyped-call]
