"""`make doctor`: what each chosen backend needs and whether it can run, whether the service can fork its runs, and how
many variants wait for people."""

from __future__ import annotations

import subprocess
import sys

from resources.loading.availability import findings
from resources.postgres.database import Database
from resources.settings import PROJECT, Settings
from resources.store_trouble import store_trouble
from service.commands import run_command
from service.running import running_environment
from service.state import State


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
    trouble = store_trouble(settings.asset_root) if settings.asset_root.exists() else None
    print(f"pictures: {trouble or 'in order'}")
    for line in _variants_that_wait_for_people(State.of(settings)):
        print(line)
    return int(
        problem is not None or trouble is not None or any(each.missing for needed in found.values() for each in needed)
    )


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
    """Of the service that runs: old work that is held, and states that nobody knows."""
    url = (running_environment(state) or {}).get("DATABASE_URL")
    if url is None:
        return []
    database = Database(url)
    held, unknown = database.maintenance.held_work(), database.maintenance.unknown_states()
    database.close()
    return [
        *([f"old work: {held} variants are held  → make release N=100"] if held else []),
        *([f"unknown states: {unknown} variants  → SELECT * FROM unknown_variant_states"] if unknown else []),
    ]


if __name__ == "__main__":
    sys.exit(main())
