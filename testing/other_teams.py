"""The other teams at work while a database is adopted, and how long a lock has made them wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

# Who waits for a lock now, and since when; not the migration itself.
_WAITING = text(
    "SELECT extract(epoch FROM clock_timestamp() - a.query_start) AS seconds, l.relation::regclass::text AS relation,"
    " left(a.query, 60) AS query"
    " FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.application_name = 'other team'"
    " AND a.datname = current_database()"
)


@dataclass
class OtherTeams:
    """Each writer is a thread with a session of its own that does one thing again and again."""

    url: str
    longest_s: float = 0.0
    longest_statement: str = ""
    done: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    _stop: Event = field(default_factory=Event)

    @contextmanager
    def at_work(self) -> Iterator[OtherTeams]:
        threads = [
            Thread(target=self._repeat, args=(name, writer), daemon=True)
            for name, writer in (("js", _js), ("ye", _ye), ("reader", _reader), ("sampler", self._sample))
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _repeat(self, name: str, do: Callable[[Connection], None]) -> None:
        engine = create_engine(self.url, poolclass=NullPool, connect_args={"application_name": _session_name(name)})
        with engine.connect() as connection:
            while not self._stop.is_set():
                try:
                    with connection.begin():
                        do(connection)
                    self.done[name] = self.done.get(name, 0) + 1
                except Exception as error:  # noqa: BLE001 (whatever a team sees is what is asked)
                    self.errors.append(f"{name}: {error}")
                time.sleep(0.01)
        engine.dispose()

    def _sample(self, connection: Connection) -> None:
        for row in connection.execute(_WAITING):
            if row.seconds > self.longest_s:
                self.longest_s, self.longest_statement = float(row.seconds), f"{row.relation}: {row.query}"


def _session_name(name: str) -> str:
    return "sampler" if name == "sampler" else "other team"


def _js(connection: Connection) -> None:
    """An order, with all that js writes in one transaction."""
    job = connection.scalar(
        text(
            "INSERT INTO jobs (tenant_id, current_step, status) VALUES ('cafe', 'img_gen', 'running') RETURNING job_id"
        )
    )
    connection.execute(text("INSERT INTO job_inputs (job_id, desc_kor) VALUES (:j, '커피')"), {"j": job})
    connection.execute(
        text(
            "INSERT INTO txt_ad_copy_generations (job_id, generation_stage, ad_copy_kor, status)"
            " VALUES (:j, 'ad_copy_kor', '커피 한 잔', 'done')"
        ),
        {"j": job},
    )


def _ye(connection: Connection) -> None:
    """The hand-over of a job and the variants of it: jobs first, jobs_variants second."""
    job = connection.scalar(
        text(
            "UPDATE jobs SET current_step = 'vlm_analyze', status = 'running', updated_at = now()"
            " WHERE job_id = (SELECT job_id FROM jobs WHERE current_step = 'img_gen' LIMIT 1 FOR UPDATE SKIP LOCKED)"
            " RETURNING job_id"
        )
    )
    if job is None:
        return
    connection.execute(
        text(
            "INSERT INTO jobs_variants (job_id, img_asset_id, creation_order)"
            " SELECT :j, (SELECT image_asset_id FROM image_assets LIMIT 1), n FROM generate_series(1, 3) n"
        ),
        {"j": job},
    )
    connection.execute(
        text("UPDATE jobs_variants SET selected = true WHERE job_id = :j AND creation_order = 1"), {"j": job}
    )
    connection.execute(
        text("INSERT INTO vlm_traces (job_id, operation_type, response) VALUES (:j, 'analyze', '{}')"), {"j": job}
    )


def _reader(connection: Connection) -> None:
    connection.execute(text("SELECT * FROM jobs_variants LIMIT 5")).all()
    connection.execute(text("SELECT * FROM evaluations LIMIT 5")).all()
