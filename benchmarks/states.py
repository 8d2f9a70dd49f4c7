"""How many changes of state the database takes a second, with and without their announcement, and what they leave.

`python -m benchmarks.states --seconds 10`
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, create_engine, text

from resources.postgres.migrations import migrate
from service import postgres
from stages.pipeline import STAGE_NAMES
from testing.shop import Shop

WRITERS = (1, 8)
_VARIANTS = 2_000
_WRITE = text(
    "UPDATE jobs_variants SET current_step = :step, status = :status WHERE job_variants_id = :variant"
    " AND (current_step, status) IS DISTINCT FROM (CAST(:step AS varchar), CAST(:status AS varchar))"
)
# As a run writes them, without the last, which would end the variant.
_STATES = [(stage, status) for stage in STAGE_NAMES[:-1] for status in ("running", "done")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each figure")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Path(folder) / "postgres"
        try:
            # Durable: an announcement is ordered at the commit, so what a commit costs counts.
            url = postgres.start(server).url
            migrate(url)
            print(json.dumps(measure(url, given.seconds), indent=2))
        finally:
            postgres.stop(server)


def measure(url: str, seconds: float) -> dict[str, object]:
    engine = create_engine(url, pool_size=max(WRITERS))
    shop = Shop(engine)
    job = shop.job()
    variants = shop.add_variants(job, [], _VARIANTS)
    figures: dict[str, object] = {}
    for announced in (True, False):
        switch = "ENABLE" if announced else "DISABLE"
        shop.execute(f"ALTER TABLE jobs_variants {switch} TRIGGER announce_variant_state")
        for writers in WRITERS:
            name = f"changes a second, {writers} writers, {'announced' if announced else 'not announced'}"
            figures[name] = round(_changes(engine, variants, writers, seconds) / seconds)
    shop.execute("SELECT pg_stat_force_next_flush()")
    figures["updates, of them HOT"] = list(
        shop.row("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'jobs_variants'")
    )
    figures["table and indexes, bytes a variant"] = [
        round(size / _VARIANTS)
        for size in shop.row("SELECT pg_relation_size('jobs_variants'), pg_indexes_size('jobs_variants')")
    ]
    engine.dispose()
    return figures


def _changes(engine: Engine, variants: list[UUID], writers: int, seconds: float) -> int:
    def write(number: int) -> int:
        mine, written, give_up_s = variants[number::writers], 0, time.monotonic() + seconds
        with engine.connect() as connection:
            while True:
                for step, status in _STATES:
                    for variant in mine:
                        if time.monotonic() > give_up_s:
                            return written
                        with connection.begin():
                            connection.execute(_WRITE, {"variant": variant, "step": step, "status": status})
                        written += 1

    with ThreadPoolExecutor(writers) as pool:
        return sum(pool.map(write, range(writers)))


if __name__ == "__main__":
    main()
