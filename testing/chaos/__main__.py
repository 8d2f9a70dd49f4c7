"""`make chaos`: kills every part of a running service at every moment, and prints one table of what became of it."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from testing.chaos.happenings import HAPPENINGS
from testing.chaos.kills import Cell, cells, kills, matrix, table
from testing.chaos.soak import soak
from testing.chaos.victim import Victim, victim

PARTS = ("kills", "happenings", "soak")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testing.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the order of the kills, and what the monkey does")
    parser.add_argument("--cells", type=int, default=1000, help="so many cells of the matrix at most")
    parser.add_argument("--soak-s", type=float, default=120.0, help="how long the monkey kills")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be given again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, victim(Path(folder)) as service:
        parts = given.only or PARTS
        faults = _kills(service, given.seed, given.cells) if "kills" in parts else 0
        faults += _happenings(service) if "happenings" in parts else 0
        faults += _soak(service, given.seed, given.soak_s) if "soak" in parts else 0
    print(f"\n{faults} faults" if faults else "\nno fault")
    return min(faults, 1)


def _kills(service: Victim, seed: int, most: int) -> int:
    done: list[Cell] = []
    for cell in matrix(service, cells(seed, list(kills(service)))[:most]):
        done.append(cell)
        print(f"{cell.kill} at {cell.moment}: {cell.fault or 'done'} after {cell.seconds:.1f} s", file=sys.stderr)
    print(table(done))
    return sum(cell.fault is not None for cell in done)


def _happenings(service: Victim) -> int:
    faults = 0
    print("\n| what happens | seconds |\n|---|---|")
    for name, happen in HAPPENINGS.items():
        try:
            print(f"| {name} | {happen(service):.1f} |", flush=True)
        except TimeoutError as error:
            faults += 1
            print(f"| {name} | {str(error).splitlines()[0]} |", flush=True)
    return faults


def _soak(service: Victim, seed: int, for_s: float) -> int:
    began_s = time.monotonic()
    soaked = soak(service, seed, for_s)
    print("\n| soak s | jobs | kills | stuck | failed | doubled | until calm s |\n|---|---|---|---|---|---|---|")
    print(
        f"| {time.monotonic() - began_s:.0f} | {soaked.jobs} | {soaked.kills} | {soaked.stuck} | {soaked.failed}"
        f" | {soaked.doubled} | {soaked.calm_after_s:.1f} |"
    )
    return int(not soaked.is_sound)


if __name__ == "__main__":
    sys.exit(main())
