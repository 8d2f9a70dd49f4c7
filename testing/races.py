"""Transactions that meet in the same moment: the last variants of a job, its hand-over, and writers of other teams.

`python -m testing.races` runs the long form, and writes in any order, on a PostgreSQL server of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from uuid import UUID

from sqlalchemy import Connection, Engine, create_engine

from resources.postgres.database import Database
from resources.postgres.migrations import migrate
from resources.postgres.queries import load
from service import postgres
from testing import any_order

_STATEMENTS = Path(__file__).with_name("races.sql")
_TOGETHER_WITHIN_S = 60.0

# What one session does in the round of this number.
Action = Callable[[Connection, int], None]


@dataclass(frozen=True)
class Race:
    """What happens at the same moment to one job with so many variants before their last check."""

    title: str
    variants: int
    actions: tuple[Action, ...]
    step: str = "vlm_analyze"
    isolation: str = "READ COMMITTED"
    #: none of its jobs is left to the rescuer
    settles_itself: bool = False
    #: the status of every job in the end
    ends: str = "done"


@dataclass(frozen=True)
class RaceResult:
    jobs: dict[str, int]
    #: jobs that were noted for the rescuer, or that it found
    left_to_rescuer: int
    broken_invariants: int
    deadlocks: int
    seconds: float


def _do(*names: str) -> Action:
    """Runs these statements in one transaction."""
    statements = [load(_STATEMENTS)[name] for name in names]

    def action(connection: Connection, number: int) -> None:
        for statement in statements:
            connection.execute(statement, {"job": str(_key(number))})

    return action


def _complete(variant: int) -> Action:
    statement = load(_STATEMENTS)["complete_variant"]

    def action(connection: Connection, number: int) -> None:
        connection.execute(statement, {"variant": str(_key(number, variant))})

    return action


def _key(number: int, variant: int = 0) -> UUID:
    return UUID(int=number * 16 + variant)


_ALL_THREE = (_complete(1), _complete(2), _complete(3))
FINISH_TOGETHER = Race("three variants finish", 3, _ALL_THREE, settles_itself=True)
OLD_SNAPSHOTS = Race(
    "three variants finish, each seen by none of the others", 3, _ALL_THREE, isolation="REPEATABLE READ"
)
HAND_OVER = Race("hand-over against the last finish", 1, (_complete(1), _do("hand_over")), step="img_gen")
JOB_FIRST = Race(
    "another team writes the job, then the variants",
    2,
    (_complete(1), _complete(2), _do("touch_job", "touch_variants")),
)
VARIANTS_FIRST = Race(
    "another team writes the variants, then the job",
    2,
    (_complete(1), _complete(2), _do("touch_variants", "touch_job")),
)
LATE_FAILURE = Race(
    "a failed variant is added", 2, (_complete(1), _complete(2), _do("add_failed_variant")), ends="failed"
)
RACES = (FINISH_TOGETHER, OLD_SNAPSHOTS, HAND_OVER, JOB_FIRST, VARIANTS_FIRST, LATE_FAILURE)


def run(url: str, race: Race, rounds: int) -> RaceResult:
    """Runs so many rounds, each with a job of its own; then the rescuer settles what is left."""
    engine = create_engine(url, pool_size=len(race.actions))
    database = Database(url)
    try:
        before = prepare(engine, race, rounds)
        began_s = time.monotonic()
        _race(engine.execution_options(isolation_level=race.isolation), rounds, race.actions)
        seconds = time.monotonic() - began_s
        unsettled = database.maintenance.unsettled_jobs(most=rounds)
        for job in unsettled:
            database.maintenance.settle_job(job)
        with engine.begin() as connection:
            jobs = {row[0]: row[1] for row in connection.execute(load(_STATEMENTS)["count_jobs"])}
            deadlocks = connection.execute(load(_STATEMENTS)["count_deadlocks"]).scalar_one()
        broken = database.maintenance.broken_invariants(most=rounds)
        return RaceResult(jobs, len(unsettled), len(broken), deadlocks - before, seconds)
    finally:
        database.close()
        engine.dispose()


def prepare(engine: Engine, race: Race, rounds: int) -> int:
    """Every job of the race, and no other; returns how many deadlocks the database has seen."""
    statements = load(_STATEMENTS)
    parameters = {"rounds": rounds, "variants": race.variants, "step": race.step}
    with engine.begin() as connection:
        for name in (
            "clear",
            "add_jobs",
            "add_ads",
            "add_variants",
            "add_traces",
            "add_detections",
            "add_objects",
            "add_plans",
            "add_layouts",
            "add_evaluations",
            "add_inputs",
            "add_copies",
            "add_requests",
            "analyze",
        ):
            needed = statements[name].compile().params
            connection.execute(statements[name], {key: parameters[key] for key in needed})
        return int(connection.execute(statements["count_deadlocks"]).scalar_one())


def _race(engine: Engine, rounds: int, actions: Sequence[Action]) -> None:
    together = Barrier(len(actions))

    def work(action: Action) -> None:
        try:
            with engine.connect() as connection:
                for number in range(1, rounds + 1):
                    with connection.begin():
                        # From here on the transaction has its snapshot, if it keeps one.
                        connection.execute(load(_STATEMENTS)["look"])
                        together.wait(_TOGETHER_WITHIN_S)
                        action(connection, number)
        except BaseException:
            together.abort()
            raise

    with ThreadPoolExecutor(len(actions)) as pool:
        sessions = [pool.submit(work, action) for action in actions]
        errors = [error for error in (session.exception() for session in sessions) if error is not None]
    # One error breaks the barrier of all; the others say only that.
    for error in sorted(errors, key=lambda error: isinstance(error, BrokenBarrierError)):
        raise error


def faults(race: Race, rounds: int, result: RaceResult) -> list[str]:
    """What should not have come out of this race."""
    checks = {
        f"a job is not {race.ends}": result.jobs != {race.ends: rounds},
        "a deadlock": result.deadlocks > 0,
        "a broken invariant": result.broken_invariants > 0,
        "a job was left to the rescuer": race.settles_itself and result.left_to_rescuer > 0,
    }
    return [fault for fault, happened in checks.items() if happened]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m testing.races", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10_000, help="of each race (default: 10000)")
    parser.add_argument("--examples", type=int, default=1_000, help="of writes in any order (default: 1000)")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        server = postgres.start(Path(folder) / "postgres", durable=False)
        try:
            migrate(server.url)
            faulty = max(_report(server.url, race, given.rounds) for race in RACES)
            # Raises what did not hold.
            any_order.run(server.url, examples=given.examples, steps=50)
            print(f"writes in any order: {given.examples} examples of 50 steps, no invariant is broken")
            return faulty
        finally:
            postgres.stop(Path(folder) / "postgres")


def _report(url: str, race: Race, rounds: int) -> int:
    result = run(url, race, rounds)
    print(
        f"{race.title}: {rounds} rounds in {result.seconds:.0f} s; {result.deadlocks} deadlocks,"
        f" {result.broken_invariants} broken invariants; {result.left_to_rescuer} jobs left to the rescuer;"
        f" jobs: {result.jobs}",
        flush=True,
    )
    return int(faults(race, rounds, result) != [])


if __name__ == "__main__":
    sys.exit(main())
