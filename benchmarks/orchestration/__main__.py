"""Measures latency, throughput and cost of the orchestration with trivial stages, and the same without Dagster."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from benchmarks.orchestration.configurations import Configuration, Running, configurations, running
from benchmarks.orchestration.plots import draw
from benchmarks.orchestration.shop import Shop
from benchmarks.orchestration.trivial import NAMES, Nothing, picture_of
from benchmarks.report import Goal, publish
from resources.database import Database, StageOutput
from service import postgres
from service.running import prepare_database

AT_A_TIME = 3
_WARM_UP = 3


@dataclass(frozen=True)
class Size:
    """How much is measured; counts, and seconds."""

    isolated: int
    bursts: tuple[int, ...]
    stream_s: int
    idle_s: int
    history: int


FULL = Size(isolated=20, bursts=(30, 90), stream_s=60, idle_s=60, history=100_000)
QUICK = Size(isolated=4, bursts=(6,), stream_s=9, idle_s=5, history=20_000)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orchestration", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="fewer of everything: to see that it works")
    parser.add_argument("--plots", type=Path, help="draw latency.png and history.png into this folder")
    parser.add_argument("--only", action="append", help="only the configuration of this name; may be repeated")
    given = parser.parse_args(arguments)
    # Also who ends us from outside leaves no server or daemon behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was done"))
    size = QUICK if given.quick else FULL
    figures: dict[str, Any] = {"quick": given.quick}
    chosen = [each for each in configurations() if not given.only or each.name in given.only]
    for configuration in chosen:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            print(f"{configuration.name} …", flush=True)
            measured = measure(configuration, Path(folder), size)
        figures |= {f"{configuration.name}: {name}": value for name, value in measured.items()}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        rate = without_dagster(Path(folder), max(size.bursts))
    figures[f"without Dagster: burst of {max(size.bursts)}, variants a minute"] = rate
    if given.plots is not None:
        draw(figures, [configuration.name for configuration in chosen], given.plots)
    publish(figures, goals(figures, max(size.bursts)), given.json)
    return 0


def goals(figures: dict[str, Any], burst: int) -> list[Goal]:
    """Of our own configuration, as far as it was measured."""
    wanted = [
        ("isolated, first stage running p50 s", 0.4, "s"),
        ("isolated, first stage running p99 s", 1.0, "s"),
        ("stream, first stage running p50 s", 0.6, "s"),
        ("stream, first stage running p95 s", 1.2, "s"),
        ("CPU per variant s", 0.6, "s"),
        ("connections per run", 5, ""),
        ("idle CPU % of a core", 5, "%"),
        ("history / none, CPU per variant", 1.2, "×"),
    ]
    found = [
        Goal.at_most(name, figures[f"ours: {name}"], limit, unit)
        for name, limit, unit in wanted
        if f"ours: {name}" in figures
    ]
    rate = figures.get(f"ours: burst of {burst}, variants a minute")
    if rate is not None:
        found.append(Goal(f"burst of {burst}, variants a minute", rate, "≥ 120", rate >= 120))
    return found


def measure(configuration: Configuration, folder: Path, size: Size) -> dict[str, Any]:
    """All figures of one configuration."""
    figures: dict[str, Any] = {}
    with running(configuration, folder) as service, _shop(service) as shop:
        shop.until_complete(shop.order(_WARM_UP))
        with _peak_memory_mb(service) as peak_mb:
            figures |= _told(percentiles("isolated", isolated(shop, size.isolated)))
            figures |= _told(percentiles("stream", stream(shop, size.stream_s)))
            for burst in size.bursts:
                figures |= _told(cost_of_burst(service, shop, burst))
        figures["peak memory MB"] = round(max(peak_mb))
        figures["idle CPU % of a core"] = idle(service, size.idle_s)
        before = cost_of_burst(service, shop, size.bursts[0])["CPU per variant s"]
        shop.add_history(size.history)
        figures |= percentiles("with history", isolated(shop, size.isolated))
        after = cost_of_burst(service, shop, size.bursts[0])["CPU per variant s"]
        figures |= {"no history, CPU per variant s": before, "with history, CPU per variant s": after}
        figures["history / none, CPU per variant"] = round(after / before, 2)
    return figures


def isolated(shop: Shop, count: int) -> dict[str, list[float]]:
    """One variant after another, each after a pause that is not in step with any loop."""
    found: list[str] = []
    for number in range(count):
        time.sleep(1.0 + (number * 0.618) % 1.0 * 5.0)
        found += shop.order(1)
        shop.until_complete(found[-1:])
    return shop.latencies_s(found)


def stream(shop: Shop, seconds: int, *, every_s: float = 3.0) -> dict[str, list[float]]:
    """A job of three variants every three seconds."""
    found: list[str] = []
    begun_s = time.monotonic()
    for number in range(int(seconds / every_s)):
        time.sleep(max(0.0, begun_s + number * every_s - time.monotonic()))
        found += shop.order(3)
    shop.until_complete(found, within_s=600)
    return shop.latencies_s(found)


def cost_of_burst(service: Running, shop: Shop, count: int) -> dict[str, Any]:
    """So many variants at once: rate, CPU, connections and transactions of each."""
    [traffic] = shop.rows("traffic")
    cpu_s, begun_s = service.cpu_s(), time.monotonic()
    shop.until_complete(shop.order(count), within_s=900)
    took_s = time.monotonic() - begun_s
    # Runs end a moment after their variants, and the server counts a connection when it has ended.
    time.sleep(3)
    spent_s = {name: after - cpu_s[name] for name, after in service.cpu_s().items()}
    [now] = shop.rows("traffic")
    return {
        f"burst of {count}, variants a minute": round(count / took_s * 60, 1),
        "CPU per variant s": round(sum(spent_s.values()) / count, 3),
        **{f"CPU per variant, {name} s": round(seconds / count, 3) for name, seconds in spent_s.items()},
        "connections per run": round((now.sessions - traffic.sessions) / count, 1),
        "transactions per run": round((now.transactions - traffic.transactions) / count, 1),
    }


def idle(service: Running, seconds: int) -> float:
    """CPU of everything while nothing is to do, in percent of one core."""
    time.sleep(3)
    before = sum(service.cpu_s().values())
    time.sleep(seconds)
    return round((sum(service.cpu_s().values()) - before) / seconds * 100, 2)


def _told(figures: dict[str, Any]) -> dict[str, Any]:
    """The same, printed: a whole benchmark takes long."""
    for name, value in figures.items():
        print(f"  {name:46} {value}", flush=True)
    return figures


def percentiles(what: str, latencies_s: dict[str, list[float]]) -> dict[str, float]:
    return {
        f"{what}, {milestone} p{rank} s": round(float(np.percentile(values, rank)), 3)
        for milestone, values in latencies_s.items()
        if values
        for rank in (50, 95, 99)
    }


def without_dagster(folder: Path, count: int) -> float:
    """The same state machine from a plain process pool on a database of its own: variants a minute."""
    url = postgres.start(folder / "postgres").url
    try:
        prepare_database(url)
        shop = Shop(url)
        variants = shop.order(count)
        with ProcessPoolExecutor(AT_A_TIME, get_context("forkserver"), initializer=partial(_connect, url)) as pool:
            list(pool.map(_ready, range(AT_A_TIME)))
            begun_s = time.monotonic()
            list(pool.map(_work_through, variants))
            took_s = time.monotonic() - begun_s
        shop.close()
        return round(count / took_s * 60, 1)
    finally:
        postgres.stop(folder / "postgres")


_database: Database


def _connect(url: str) -> None:
    global _database
    _database = Database(url)


def _ready(_: int) -> bool:
    return _database.any_startable()


def _work_through(variant: str) -> None:
    run, key = uuid4().hex, UUID(variant)
    for stage in NAMES:
        _database.begin_stage(key, stage, run)
        output = StageOutput(Nothing(), latency_ms=0.0, artifact_url=picture_of(stage))
        _database.finish_stage(_database.load_variant(key), stage, run, output)
    _database.complete_variant(key)


@contextmanager
def _shop(service: Running) -> Iterator[Shop]:
    shop = Shop(service.database_url)
    try:
        yield shop
    finally:
        shop.close()


@contextmanager
def _peak_memory_mb(service: Running) -> Iterator[list[float]]:
    ends, seen_mb = threading.Event(), [0.0]

    def watch() -> None:
        while not ends.wait(0.5):
            seen_mb.append(service.memory_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen_mb
    finally:
        ends.set()
        watcher.join()


if __name__ == "__main__":
    sys.exit(main())
