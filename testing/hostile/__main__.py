"""`make hostile`: every attack on what comes from outside, one table, and an error if one of them was not held."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, groupby
from pathlib import Path

from resources.fonts import installed_fonts
from resources.settings import PROJECT, Settings
from testing.hostile.attacks import Attack, Outcome, attempt
from testing.hostile.copies import copy_attacks
from testing.hostile.endpoint import endpoint_attacks
from testing.hostile.files import file_attacks
from testing.hostile.paths import path_attacks
from testing.models.cache import prepare_libraries
from testing.pictures import flat

# Doors whose attacks are tests already: who comes through the web, and who logs in to the database.
_DOORS = {
    "web": ("tests/web/test_foreign_pages.py", "tests/orchestration/test_same_origin.py"),
    "roles": ("tests/database/test_roles.py", "tests/database/test_tenant_readers.py"),
}


def main() -> int:
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = [attempt(attack) for attack in _attacks(Path(folder))]
    print(f"{'family':10} {'attacks':>7} {'held':>5} {'most work':>9} {'most memory':>12}")
    for family, found in groupby(outcomes, key=lambda outcome: outcome.attack.family):
        print(_row(family, list(found)))
    failed = [outcome for outcome in outcomes if not outcome.held]
    failed_doors = [door for door, files in _DOORS.items() if not _holds(door, files)]
    for outcome in failed:
        print(f"NOT HELD: {outcome.attack.family}, {outcome.attack.name}: {outcome.said}")
    print(f"took {time.monotonic() - started_s:.0f} s")
    return 1 if failed or failed_doors else 0


def _attacks(folder: Path) -> Iterator[Attack]:
    prepare_libraries()
    for name in ("files", "paths"):
        (folder / name).mkdir()
    return chain(
        file_attacks(folder / "files"),
        copy_attacks(installed_fonts(Settings().font_folders), flat(480, 480)),
        path_attacks(folder / "paths"),
        endpoint_attacks(),
    )


def _row(family: str, found: list[Outcome]) -> str:
    # The races work as long as they are told to.
    slowest = max(outcome.worked_s for outcome in found if "exchanged" not in outcome.attack.name)
    held, largest_mb = sum(outcome.held for outcome in found), max(outcome.took_mb for outcome in found)
    return f"{family:10} {len(found):7} {held:5} {slowest:7.2f} s {largest_mb:9.0f} MB"


def _holds(door: str, files: tuple[str, ...]) -> bool:
    """Runs those of the tests that there are."""
    there = [file for file in files if (PROJECT / file).exists()]
    if not there:
        return True
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *there],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    print(f"{door:10} {tests.stdout.strip().splitlines()[-1]}")
    return tests.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
