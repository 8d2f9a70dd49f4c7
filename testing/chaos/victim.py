"""A running service whose parts are killed, and the shop that goes on working with it."""

from __future__ import annotations

import contextlib
import json
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import psutil
import psycopg2
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from resources.settings import Settings
from service import postgres
from service.running import environment, start, stop
from service.state import State
from service.ui import Ui
from testing.processes import fork_servers
from testing.studio import Studio, photograph
from testing.waiting import until

_COMPLETE = ("iou_eval", "done")


class Moments:
    """Waits for a variant to enter a state, as its notifications tell, from the start of the `with` block."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

    def __enter__(self) -> Self:
        self._connection = psycopg2.connect(self._url)
        self._connection.autocommit = True
        self._connection.cursor().execute("LISTEN job_variant_state_changed")
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def wait(self, variant: UUID, step: str, status: str, within_s: float = 90.0) -> bool:
        """False when it was not seen within this time."""
        give_up_s = time.monotonic() + within_s
        while (left_s := give_up_s - time.monotonic()) > 0:
            select.select([self._connection], [], [], left_s)
            self._connection.poll()
            notices = [json.loads(notice.payload) for notice in self._connection.notifies]
            self._connection.notifies.clear()
            if any(self._is(notice, variant, step, status) for notice in notices):
                return True
        return False

    @staticmethod
    def _is(notice: dict[str, Any], variant: UUID, step: str, status: str) -> bool:
        return (notice["job_variants_id"], notice["current_step"], notice["status"]) == (str(variant), step, status)


@dataclass
class Victim(Studio):
    """The shop, and the processes of the service by name."""

    settings: Settings = field(default_factory=Settings)
    ui: Ui = field(default_factory=lambda: Ui(""))

    @property
    def state(self) -> State:
        return State.of(self.settings)

    @property
    def url(self) -> str:
        return self.engine.url.render_as_string(hide_password=False)

    def photographed(self, job: UUID) -> UUID:
        """A variant whose image is done."""
        return self.ready_variant(job, photograph(size_px=240))

    # Who can be killed -------------------------------------------------------------------------------------------

    def process(self, name: str) -> psutil.Process | None:
        record = self.state.record()
        found = [process.pid for process in record.processes if process.name == name] if record else []
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(found[0]) if found else None
        return None

    def servers(self) -> list[psutil.Process]:
        daemon = self.process("daemon")
        return fork_servers(daemon) if daemon is not None else []

    def kill(self, *processes: psutil.Process | None) -> None:
        """Returns when they have ended."""
        killed = [process for process in processes if process is not None]
        for process in killed:
            # It may have ended by itself.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(killed, timeout=5)

    def kill_workers(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self.kill(*(worker for server in self.servers() for worker in server.children()))

    def kill_servers(self) -> None:
        self.kill(*self.servers())

    def kill_named(self, name: str) -> Callable[[], None]:
        return lambda: self.kill(self.process(name))

    def kill_supervisor(self) -> None:
        self.kill(self.process("supervisor"))
        self.start()

    def kill_postgres(self) -> None:
        with contextlib.suppress(postgres.PostgresError):
            postgres.kill(self.state.postgres)

    def cut_connections(self) -> None:
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                     " AND datname = current_database()")  # fmt: skip

    def cut_power(self) -> None:
        """Everything dies at the same moment; then somebody starts the service again."""
        supervisor = self.process("supervisor")
        below = supervisor.children(recursive=True) if supervisor is not None else []
        self.kill(supervisor, *below)
        self.kill_postgres()
        self.start()

    def start(self) -> None:
        self.ui = Ui(start(self.settings).url)

    # What became of it -------------------------------------------------------------------------------------------

    def until(self, awaited: str, happened: Callable[[], bool], *, within_s: float = 120.0) -> float:
        """Also while the database is away."""

        def asked() -> bool:
            with contextlib.suppress(OperationalError):
                return happened()
            return False

        return until(awaited, asked, within_s=within_s, every_s=0.1, details=self.state.log_tails)

    def until_done(self, job: UUID, *, within_s: float = 120.0) -> float:
        return self.until(f"job {job} is done", lambda: self.job_state(job) == _COMPLETE, within_s=within_s)

    def doubled(self, *variants: UUID) -> int:
        """How many stages of these variants were materialized more than once."""
        counted = (
            "SELECT count(*) FROM (SELECT 1 FROM dagster.event_logs WHERE partition = ANY (:variants)"
            " AND dagster_event_type = 'ASSET_MATERIALIZATION' GROUP BY partition, asset_key HAVING count(*) > 1) twice"
        )
        return int(self.row(counted, variants=[str(variant) for variant in variants])[0])


@contextlib.contextmanager
def victim(folder: Path, **settings: Any) -> Iterator[Victim]:
    """A service of its own on the embedded database; nothing of it is left afterwards."""
    chosen = Settings(
        database_url=None,
        state_folder=folder / "state",
        asset_root=folder / "assets",
        webserver_port=3950,
        throttle="off",
        **settings,
    )
    record = start(chosen)
    try:
        engine = create_engine(environment(chosen)["DATABASE_URL"], poolclass=NullPool)
        yield Victim(engine, chosen.asset_root, chosen, Ui(record.url))
    finally:
        stop(State.of(chosen))
