"""What plan and overlay cost at 1080 × 1080 on one core: milliseconds, and memory above the picture."""

from __future__ import annotations

import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from benchmarks.creative.methods import OURS, Ad, Given, Tools, make_ad
from testing.scenes.copies import COPIES
from testing.scenes.generated import make
from testing.scenes.grounds import GROUNDS

_SCENES = 12


class Cost(NamedTuple):
    plan_ms: float
    overlay_ms: float
    memory_mb: float


def cost() -> Cost:
    """Measured in a fresh process that does nothing else."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured).result()


def _measured() -> Cost:
    tools = Tools.embedded()
    shown = []
    for number in range(_SCENES):
        scene = make(number, GROUNDS[number % len(GROUNDS)], number % 2 == 0, "left", (1080, 1080))
        copy = COPIES[number * 7 % len(COPIES)]
        shown.append(Given(scene, copy, tools.vision.analyze(scene.image, copy), number))
    make_ad(OURS, shown[0], tools)
    ads = [_alone(given, tools) for given in shown for _ in range(2)]
    return Cost(
        statistics.median(ad.plan_ms for ad, _ in ads),
        statistics.median(ad.overlay_ms for ad, _ in ads),
        max(above_mb for _, above_mb in ads),
    )


def _alone(given: Given, tools: Tools) -> tuple[Ad, float]:
    """The ad, and by how many MB the process grew at most while it was made."""
    before_mb = _resident_mb("VmRSS")
    # Linux: writing 5 forgets the largest resident size so far.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    ad = make_ad(OURS, given, tools)
    return ad, _resident_mb("VmHWM") - before_mb


def _resident_mb(name: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024 / 1e6
