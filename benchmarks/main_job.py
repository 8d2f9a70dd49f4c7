"""What the main job costs: from hand-over to done, per stage, in memory, and at import."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from benchmarks.report import Goal, publish, report
from benchmarks.stages import ROUNDS, Backends, StageTimes, stage_times
from resources.detector.saliency import SaliencyDetector
from resources.fonts import installed_fonts
from resources.ocr.embedded import EmbeddedOcr
from resources.settings import PROJECT, Settings
from resources.vlm.measured import MeasuredVision
from service.demo import KOREAN, Demo, generated_images
from service.running import environment, start, stop
from service.state import State


def main(arguments: Sequence[str] | None = None) -> int:
    given = report(arguments, __doc__ or "")
    imports_s = import_seconds("variant_assets.definitions"), import_seconds("dagster")
    cold, warm = embedded_stage_times()
    job_s, worker_mb = demo_job()
    figures: dict[str, Any] = {
        "hand-over to job done, three variants, s": round(job_s, 1),
        "peak memory of a run worker, MB": round(worker_mb),
        "import of the definitions, s": round(imports_s[0], 2),
        "import of dagster alone, s": round(imports_s[1], 2),
        **{
            f"{stage} at 1080×1080, first / median of {ROUNDS} ms": f"{cold[stage]:.0f} / {warm[stage]:.0f}"
            for stage in warm
        },
        "all eight stages, first / median ms": f"{sum(cold.values()):.0f} / {sum(warm.values()):.0f}",
    }
    goals = [
        Goal.at_most("hand-over to job done", job_s, 40, "s"),
        Goal.at_most("all eight stages, warm", sum(warm.values()) / 1000, 3, "s"),
        Goal.at_most("all eight stages, first in a process", sum(cold.values()) / 1000, 3, "s"),
        Goal.at_most("peak memory of a run worker", worker_mb, 600, "MB"),
        Goal.at_most("import of the definitions", imports_s[0], 2.5, "s"),
    ]
    publish(figures, goals, given.json)
    return 0


def import_seconds(module: str) -> float:
    """Median of three fresh interpreters, less what starting one costs."""

    def seconds(code: str) -> float:
        begun_s = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
        return time.perf_counter() - begun_s

    return statistics.median(seconds(f"import {module}") - seconds("pass") for _ in range(3))


def embedded_stage_times() -> StageTimes:
    backends = Backends(
        MeasuredVision(),
        SaliencyDetector(),
        EmbeddedOcr(Settings().tessdata_folders),
        installed_fonts(Settings().font_folders),
    )
    return stage_times(backends, list(generated_images())[-1], KOREAN)


def demo_job() -> tuple[float, float]:
    """Seconds from hand-over to done on a service of its own, and the largest resident size of a run worker in MB."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        settings = Settings(database_url=None, state_folder=folder, asset_root=f"{folder}/assets")
        state = State.of(settings)
        start(settings)
        try:
            url = environment(settings)["DATABASE_URL"]
            demo = Demo(create_engine(url, poolclass=NullPool), settings.asset_root, state)
            with _largest_worker_mb(state) as largest:
                demo.order()
                demo.generate()
                seconds = demo.watch()
            return seconds, largest()
        finally:
            stop(state)


@contextmanager
def _largest_worker_mb(state: State) -> Iterator[Callable[[], float]]:
    """Watches what code server and daemon have started while the block runs; shared pages count in each process."""
    record = state.record()
    if record is None:
        raise RuntimeError("the service does not run")
    launchers = [psutil.Process(each.pid) for each in record.processes if each.name in ("code-server", "daemon")]
    done, peaks = threading.Event(), [0.0]

    def watch() -> None:
        while not done.wait(0.05):
            for child in (child for each in launchers for child in each.children(recursive=True)):
                # It may end between the list and the look.
                with suppress(psutil.NoSuchProcess):
                    peaks.append(child.memory_info().rss / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: max(peaks)
    finally:
        done.set()
        watcher.join()


if __name__ == "__main__":
    sys.exit(main())
