"""One service works on a database at a time: it takes a lease there and renews it; a second one is refused."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sqlalchemy.exc import SQLAlchemyError

from orchestration.processes import this_boot
from resources.postgres.database import Database
from resources.postgres.lease import NEVER_RENEWED, HeldLease, Lease
from service.commands import ServiceError
from service.state import Process

_RENEWED_EVERY_S = 1.0
# A service on another machine that has not renewed its lease for so long has ended.
_WATCHED_S = 5.0
_LOOKS_EVERY_S = 0.5


class AnotherServiceError(ServiceError):
    """Another service works on this database."""


@dataclass(frozen=True)
class Holder:
    """The service that holds a lease."""

    host: str
    folder: str
    url: str
    supervisor: Process

    @classmethod
    def of_this_process(cls, folder: Path, url: str, pid: int) -> Self:
        return cls(socket.gethostname(), str(folder), url, Process.of("supervisor", pid))

    @classmethod
    def of(cls, lease: HeldLease) -> Self:
        return cls(**{**lease.holder, "supervisor": Process(**lease.holder["supervisor"])})

    @property
    def values(self) -> dict[str, Any]:
        return asdict(self)

    def has_surely_ended(self, folder: Path) -> bool:
        """Whether it is known here: it ran on this machine, and its process or that start of the machine ended."""
        if self.host != socket.gethostname():
            return False
        if self.supervisor.boot.split()[0] != this_boot().split()[0]:
            # Another machine may have the same name, but not the same folder.
            return self.folder == str(folder)
        return self.supervisor.boot == this_boot() and not self.supervisor.is_alive()

    def __str__(self) -> str:
        return f"the service in {self.folder} on {self.host} (process {self.supervisor.pid}, UI at {self.url})"


def renewals_of_free_lease(lease: Lease, folder: Path) -> int:
    """How often the lease, which may be taken, was renewed. Waits some seconds where it has to see whether the holder
    still renews it. Raises AnotherServiceError.
    """
    seen = lease.read()
    if seen is None:
        return NEVER_RENEWED
    if Holder.of(seen).has_surely_ended(folder):
        return seen.renewals
    give_up_s = time.monotonic() + _WATCHED_S
    while time.monotonic() < give_up_s:
        time.sleep(_LOOKS_EVERY_S)
        now = lease.read()
        if now is None:
            return NEVER_RENEWED
        if now.renewals != seen.renewals:
            raise AnotherServiceError(
                f"{Holder.of(now)} works on this database already; stop it with `make down` there, or set DATABASE_URL"
                " to another database"
            )
    return seen.renewals


def renewals_without_other_service(database_url: str, folder: Path) -> int:
    """What KeptLease.take wants. Raises AnotherServiceError when another service works on the database."""
    database = Database(database_url)
    try:
        return renewals_of_free_lease(database.lease, folder)
    finally:
        database.close()


class KeptLease:
    """The lease of this service, taken and then renewed by a thread. `lost` is called when another one has taken it."""

    def __init__(self, lease: Lease, holder: Holder, lost: Callable[[], None]) -> None:
        self._lease = lease
        self._holder = holder
        self._lost = lost
        self._ended = threading.Event()

    def take(self, renewals_seen: int) -> None:
        """Raises AnotherServiceError when somebody has taken or renewed the lease since it was seen."""
        if not self._lease.take(self._holder.values, renewals_seen):
            raise AnotherServiceError("another service has taken this database at the same moment")
        threading.Thread(target=self._keep, name="lease", daemon=True).start()

    def release(self) -> None:
        self._ended.set()
        try:
            self._lease.release(self._holder.values)
        except SQLAlchemyError as error:
            print(f"the lease is not given back, and the next service has to wait some seconds: {error}", flush=True)

    def _keep(self) -> None:
        while not self._ended.wait(_RENEWED_EVERY_S):
            try:
                is_kept = self._lease.renew(self._holder.values)
            except SQLAlchemyError:
                # The database may be down; nobody else can take the lease then.
                continue
            if not is_kept and not self._ended.is_set():
                self._lost()
                return
