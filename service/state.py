"""The folder where the service keeps its data and logs, and in it the record of the processes that run."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from orchestration.processes import started_ticks, this_boot
from resources.settings import PROJECT, StateSettings
from service import postgres
from service.folders import usable

# Files of the service are not for other users; a group may read those that a person has set up for it.
UMASK = 0o027


@contextmanager
def closed_to_others() -> Iterator[None]:
    """What is written meanwhile, by this process and those that it starts, cannot be read by other users."""
    before = os.umask(UMASK)
    try:
        yield
    finally:
        os.umask(before)


@dataclass(frozen=True)
class Process:
    """A process that we started. Id, start time and boot together tell it from a later process with the same id."""

    name: str
    pid: int
    started_ticks: int
    boot: str

    @classmethod
    def of(cls, name: str, pid: int) -> Process:
        """The process with this id. If it has ended meanwhile, `is_alive` of the result is False."""
        return cls(name, pid, started_ticks(pid) or 0, this_boot())

    def is_alive(self) -> bool:
        return self.boot == this_boot() and started_ticks(self.pid) == self.started_ticks

    def ask_to_end(self) -> None:
        """Sends SIGTERM to the whole process group and does not wait."""
        if self.is_alive():
            self._send(signal.SIGTERM)

    def end(self, patience_s: float = 15.0) -> None:
        """Sends SIGTERM to the whole process group and, if the process still lives after `patience_s`, SIGKILL."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if not self.is_alive():
                return
            self._send(sign)
            give_up_s = time.monotonic() + patience_s
            while self.is_alive() and time.monotonic() < give_up_s:
                time.sleep(0.05)

    def _send(self, sign: signal.Signals) -> None:
        # The process may have ended by itself meanwhile.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, sign)


@dataclass(frozen=True)
class Record:
    """The address of the UI and the processes that run, the supervisor first; `make down` reads it."""

    url: str
    processes: tuple[Process, ...]

    @property
    def is_alive(self) -> bool:
        """Whether the supervisor lives. Processes that a dead supervisor has left behind are no service."""
        return self.supervisor.is_alive()

    @property
    def supervisor(self) -> Process:
        return self.processes[0]


@dataclass(frozen=True)
class State:
    """The folder of the setting STATE_FOLDER."""

    folder: Path

    @classmethod
    def of(cls, settings: StateSettings) -> State:
        return cls(settings.state_folder)

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def dagster(self) -> Path:
        return self.folder / "dagster"

    @property
    def stock(self) -> Path:
        """Where dagster.yaml lies for `ORCHESTRATION=stock`."""
        return self.folder / "stock"

    @property
    def working_folder(self) -> Path:
        """Where Dagster's commands are started. In a folder with a `.env` file its variables would replace ours."""
        return self.logs

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace.yaml"

    def make(self) -> None:
        """Makes the folders, closed to other users. Raises FolderError."""
        is_new = not self.folder.exists()
        usable("STATE_FOLDER", self.folder, partial(Path.mkdir, mode=0o700, parents=True, exist_ok=True))
        # Another folder that was there before may be used by others too.
        if is_new or self.folder == PROJECT / ".service":
            postgres.close_to_others(self.folder)
        for folder in (self.logs, self.dagster):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process at a time starts the service; others wait here."""
        with (self.folder / ".start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def write(self, record: Record) -> None:
        unfinished = self._record.with_suffix(".new")
        unfinished.write_text(json.dumps(asdict(record), indent=2))
        unfinished.replace(self._record)

    def record(self) -> Record | None:
        if not self._record.exists():
            return None
        values = json.loads(self._record.read_text())
        return Record(values["url"], tuple(Process(**process) for process in values["processes"]))

    def forget(self) -> None:
        self._record.unlink(missing_ok=True)

    def log_tails(self, lines: int = 12) -> str:
        """The last lines of every log that is not empty."""
        tails = {
            path: path.read_text(errors="replace").splitlines()[-lines:] for path in sorted(self.logs.glob("*.log"))
        }
        return "\n".join(f"{path} ends:\n  " + "\n  ".join(tail) for path, tail in tails.items() if tail)

    @property
    def _record(self) -> Path:
        return self.folder / "service.json"
