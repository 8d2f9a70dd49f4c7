"""What keeps an instance whole: it is opened only with its environment, and has one daemon.

Both refusals are errors of click, which Dagster's commands show as one line.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import click
from dagster import Field, StringSource

from orchestration._dagster import ConfigurableClassData, LocalArtifactStorage
from orchestration.processes import PROCESS_VARIABLE

_LOCK = "daemon.lock"
# The locks that this process holds until it ends: the file descriptor by the path.
_held: dict[Path, int] = {}


class InstanceRefused(click.ClickException):
    """This process may not open the instance; the message says why and what to do instead."""


def required_variable(name: str, way_out: str) -> str:
    """The value of a variable of the environment. Raises InstanceRefused with the way out if it is not set."""
    value = os.environ.get(name)
    if not value:
        raise InstanceRefused(f"{name} is not set; {way_out}")
    return value


class OneDaemonStorage(LocalArtifactStorage):
    """The folder of an instance's own files, which one daemon at a time may use.

    Two daemons on one instance start runs twice and remove each other's sensors. A daemon locks a file in the folder
    until it ends; a second one is refused, and so is `dagster dev`, which would start one.
    """

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {
            "base_dir": StringSource,
            "way_out": Field(StringSource, default_value="stop it first", description="What a refused user is told."),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        folder, way_out = Path(config_value["base_dir"]), config_value["way_out"]
        if _is_daemon(sys.argv):
            _lock(folder, way_out)
        elif _starts_daemon(sys.argv):
            _unlock(_lock(folder, way_out))
        return cls(base_dir=str(folder), inst_data=inst_data)


def _is_daemon(argv: list[str]) -> bool:
    is_command = argv[0].endswith(("/dagster-daemon", "/dagster/_daemon/__main__.py")) and "run" in argv[1:2]
    return is_command or os.environ.get(PROCESS_VARIABLE) == "daemon"


def _starts_daemon(argv: list[str]) -> bool:
    return argv[0].endswith(("/dagster", "/dg", "/dagster/__main__.py")) and "dev" in argv[1:2]


def _lock(folder: Path, way_out: str) -> Path:
    """Locks the folder for this process, which may have locked it before. Raises InstanceRefused."""
    path = folder / _LOCK
    if path in _held:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    # Not inherited by the programs that this process starts: they may live longer.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InstanceRefused(f"a daemon works on this instance already ({path} is locked); {way_out}") from None
    _held[path] = descriptor
    return path


def _unlock(path: Path) -> None:
    os.close(_held.pop(path))
