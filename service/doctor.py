"""`make doctor`: what each chosen backend needs and whether it can run, whether the service can fork its runs, how
many variants wait for people, and whether the database is sound."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from resources.loading.availability import findings
from resources.postgres.database import Database
from resources.settings import PROJECT, Settings
from resources.store_trouble import store_trouble
from service.commands import run_command
from service.running import running_environment
from service.state import State

# Of each kind; the whole is in the database.
_MOST_SHOWN = 20


def main() -> int:
    return run_command(_report)


def _report() -> int:
    settings = Settings()
    found = findings(settings)
    for backend, needed in found.items():
        runs = not any(each.missing for each in needed)
        print(f"{backend}: {'can run' if runs else 'CANNOT RUN'}")
        for each in needed:
            print(f"  {each.what:24} {each.found}" + (f"  → {each.way_out}" if each.missing else ""))
    problem = _fork_server_problem(State.of(settings))
    print(f"fork server: {problem or 'no problem is known'}")
    # No reason to fail: before the first picture the folder is empty, or not there.
    print(f"pictures: {store_trouble(settings.asset_root) or 'in order'}")
    broken = _broken_invariants(State.of(settings))
    for line in (*_variants_that_wait_for_people(State.of(settings)), *broken):
        print(line)
    cannot_run = any(each.missing for needed in found.values() for each in needed)
    return int(problem is not None or cannot_run or bool(broken))


def _fork_server_problem(state: State) -> str | None:
    """Of the service that runs; None also where none does. It is asked in the service's own environment."""
    variables = running_environment(state)
    if variables is None:
        return None
    asked = subprocess.run(
        [sys.executable, "-m", "orchestration"], cwd=PROJECT, env=variables, capture_output=True, text=True
    )
    return asked.stdout.strip() + asked.stderr.strip() if asked.returncode else None


def _variants_that_wait_for_people(state: State) -> list[str]:
    """Of the service that runs: old work that is held, states that nobody knows, and variants added to done jobs."""
    with _database(state) as database:
        if database is None:
            return []
        held, unknown = database.maintenance.held_work(), database.maintenance.unknown_states()
        unfinished = database.maintenance.unfinished_done_jobs(most=_MOST_SHOWN)
    return [
        *([f"old work: {held} variants are held  → make release N=100"] if held else []),
        *([f"unknown states: {unknown} variants  → SELECT * FROM unknown_variant_states"] if unknown else []),
        *(f"done job {job.job_id}: {job.complete} of {job.total} variants are complete" for job in unfinished),
    ]


def _broken_invariants(state: State) -> list[str]:
    """Of the database of the service that runs: what must never be."""
    with _database(state) as database:
        broken = database.maintenance.broken_invariants(most=_MOST_SHOWN) if database else []
    return [
        f"BROKEN: {each.invariant}: {f'variant {each.job_variants_id} of ' if each.job_variants_id else ''}job"
        f" {each.job_id}  → SELECT * FROM broken_invariants"
        for each in broken
    ]


@contextmanager
def _database(state: State) -> Iterator[Database | None]:
    """That of the service that runs; None where none does."""
    url = (running_environment(state) or {}).get("DATABASE_URL")
    database = Database(url) if url is not None else None
    try:
        yield database
    finally:
        if database is not None:
            database.close()


if __name__ == "__main__":
    sys.exit(main())
