"""What a tick reads, timed: `python -m benchmarks.orchestration.tick_cost` prints the median in ms."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime

import dagster as dg

from resources.postgres.database import Database
from resources.settings import Settings
from variant_assets.runs import unfinished_runs, variants_of

_ROUNDS = 50


def main() -> None:
    database = Database(Settings().require_database_url())
    with dg.DagsterInstance.get() as instance:
        print(round(statistics.median(_look_ms(instance, database) for _ in range(_ROUNDS)), 2))
    database.close()


def _look_ms(instance: dg.DagsterInstance, database: Database) -> float:
    """All that a tick reads when something may wait. Nothing waits here, so nothing is requested."""
    begun_s = time.perf_counter()
    database.run_requests.any_startable()
    in_flight = {variant for run in unfinished_runs(instance, datetime.now(UTC)) for variant in variants_of(run)}
    database.run_requests.request_startable("tick_cost", in_flight, most=100)
    return (time.perf_counter() - begun_s) * 1000


if __name__ == "__main__":
    main()
