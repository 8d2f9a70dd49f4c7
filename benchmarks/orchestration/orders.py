"""Orders variants and notes what becomes of each, and when."""

from __future__ import annotations

import json
import select
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import QueuePool

from resources.postgres.notifier import STATEMENTS
from resources.postgres.queries import load
from service.demo import ENGLISH, KOREAN
from service.shop import Shop
from testing.waiting import until

TENANT = "bench"
_STATEMENTS = Path(__file__).with_name("orders.sql")
_KEPT_PARTITIONS = 8_000
_RELOADED_WITHIN_S = 0.5


class Orders:
    """Notes when each commit of a variant returned and when each state was announced, in seconds since 1970.

    `pictures` are the URLs of stored images that its variants take in turn.
    """

    def __init__(self, url: str, pictures: Sequence[str] = ()) -> None:
        self._engine = create_engine(url, poolclass=QueuePool)
        self._shop = Shop(self._engine)
        self.committed_s: dict[str, float] = {}
        self.seen_s: dict[tuple[str, str, str], float] = {}
        self._ends = threading.Event()
        self._connection = psycopg2.connect(
            make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        )
        self._connection.autocommit = True
        # The listening file of the sensors, read without their filter.
        self._connection.cursor().execute(str(load(STATEMENTS)["listen_for_changes"]))
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        self._shop.add_tenant(TENANT)
        self._images = [self._shop.add_image(url, tenant=TENANT) for url in pictures]

    def rows(self, query: str, **parameters: Any) -> list[Any]:
        with self._engine.begin() as connection:
            result = connection.execute(load(_STATEMENTS)[query], parameters)
            return list(result) if result.returns_rows else []

    @contextmanager
    def statements_logged(self) -> Iterator[None]:
        """The server writes every statement into its log until the block ends."""
        try:
            self._configure("log_all_statements")
            yield
        finally:
            self._configure("log_no_statements")

    def _configure(self, query: str) -> None:
        statements = load(_STATEMENTS)
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(statements[query])
            connection.execute(statements["reload_configuration"])
        time.sleep(_RELOADED_WITHIN_S)

    def place(self, variants: int, *, per_job: int = 3) -> list[str]:
        """So many variants in jobs of three that are handed over already; the variants of a job in one transaction."""
        jobs = self._shop.order(
            -(-variants // per_job), tenant=TENANT, korean=KOREAN, english=ENGLISH, step="vlm_analyze"
        )
        placed: list[str] = []
        for number, job in enumerate(jobs):
            many = min(per_job, variants - number * per_job)
            keys = list(map(str, self._shop.add_variants(job, self._images, many, status="done")))
            self.committed_s.update(dict.fromkeys(keys, time.time()))
            placed += keys
        return placed

    def until_complete(self, variants: list[str], *, within_s: float = 300.0) -> None:
        until(f"{len(variants)} complete variants", lambda: self._complete(variants), within_s=within_s, every_s=0.1)

    def _complete(self, variants: list[str]) -> bool:
        if self.rows("failed_count", variants=variants)[0][0]:
            raise RuntimeError(f"of {len(variants)} variants some have failed, which the benchmark does not expect")
        return bool(self.rows("complete_count", variants=variants)[0][0] == len(variants))

    def latencies_s(self, variants: Iterable[str]) -> dict[str, list[float]]:
        """From commit to each milestone, for each variant that reached it."""
        keys = list(variants)
        times = {row.variant: row for row in self.rows("times_of_runs", variants=keys)}
        found: dict[str, list[float]] = {name: [] for name in ("picked up", "run row", "first stage running", "done")}
        for key in keys:
            milestones = {
                "picked up": times[key].picked_up_s if key in times else None,
                "run row": times[key].run_row_s if key in times else None,
                "first stage running": self.seen_s.get((key, "vlm_analyze", "running")),
                "done": self.seen_s.get((key, "iou_eval", "done")),
            }
            for name, when_s in milestones.items():
                if when_s is not None:
                    found[name].append(max(0.0, float(when_s) - self.committed_s[key]))
        return found

    def add_history(self, variants: int) -> None:
        """So many finished variants, runs and events; of partitions no more than retention keeps."""
        statements = load(_STATEMENTS)
        with self._engine.begin() as connection:
            connection.execute(statements["without_triggers"])
            connection.execute(statements["add_finished_variants"], {"tenant": TENANT, "variants": variants})
            connection.execute(statements["add_finished_runs"], {"runs": variants})
            connection.execute(statements["add_events"], {"events": variants})
            connection.execute(statements["add_partitions"], {"partitions": min(variants, _KEPT_PARTITIONS)})
        with self._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")

    def close(self) -> None:
        self._ends.set()
        self._watcher.join()
        self._connection.close()
        self._engine.dispose()

    def _watch(self) -> None:
        while not self._ends.is_set():
            if not select.select([self._connection], [], [], 0.2)[0]:
                continue
            self._connection.poll()
            now_s = time.time()
            for notice in self._connection.notifies:
                change = json.loads(notice.payload)
                self.seen_s.setdefault((change["job_variants_id"], change["current_step"], change["status"]), now_s)
            self._connection.notifies.clear()
