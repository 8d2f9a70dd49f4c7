"""The figures of one configuration with one set of stages."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.orchestration.configurations import Configuration, Running, StageSet, running
from benchmarks.orchestration.orders import Orders
from benchmarks.orchestration.without_dagster import throughput

_WARM_UP = 3
_LOGGED = 9
_TURNS = 3


@dataclass(frozen=True)
class Size:
    """How much is measured; counts, and seconds."""

    isolated: int
    bursts: tuple[int, ...]
    stream_s: int
    idle_s: int
    few_past_variants: int
    many_past_variants: int


FULL = Size(isolated=30, bursts=(30, 90), stream_s=60, idle_s=30, few_past_variants=1_000, many_past_variants=100_000)
QUICK = Size(isolated=4, bursts=(6,), stream_s=9, idle_s=5, few_past_variants=100, many_past_variants=2_000)


def measure(configuration: Configuration, stages: StageSet, folder: Path, size: Size) -> dict[str, Any]:
    """All figures of one configuration. What a long history costs is asked of our own, with trivial stages."""
    count = max(3, round(size.isolated * configuration.share * (1.0 if stages.name == "trivial" else 0.4)))
    figures: dict[str, Any] = {}
    with (
        running(configuration, stages, folder) as service,
        _orders(service, stages.pictures(folder / "assets")) as orders,
    ):
        orders.until_complete(orders.place(_WARM_UP))
        with _peak_memory_mb(service) as peak_mb:
            figures |= _printed(percentiles("isolated", isolated(orders, count)))
            # Stock falls behind more and more, and its queue would take minutes to end.
            if not configuration.plain_sensor:
                figures |= _printed(percentiles("stream", stream(orders, size.stream_s, every_s=stages.stream_every_s)))
            for burst in size.bursts:
                if burst == min(size.bursts) or (configuration.share == 1.0 and stages.name == "trivial"):
                    found = cost_of_burst(service, orders, burst)
                    # What a variant costs is asked of the smallest burst, under that name; of the others beside it.
                    others = {name if name.startswith("burst") else f"burst of {burst}, {name}": value
                              for name, value in found.items()}  # fmt: skip
                    figures |= _printed(found if burst == min(size.bursts) else others)
            if stages.name == "embedded" and configuration.share == 1.0:
                figures |= _printed(share_of_the_limit(orders, stages, min(size.bursts), folder))
        figures |= _printed({"peak memory MB": round(max(peak_mb))})
        figures |= _printed({"statements per run": statements_per_run(service, orders)})
        figures |= _printed({"idle CPU % of a core": idle(service, size.idle_s)})
        if stages.name == "trivial" and configuration.share == 1.0:
            figures |= _printed(cost_of_history(service, orders, size))
    return figures


def cost_of_history(service: Running, orders: Orders, size: Size) -> dict[str, Any]:
    """CPU of a run, and the time a look at the tables takes, with few and with many variants in the past."""
    figures: dict[str, Any] = {}
    past = 0
    for many in (size.few_past_variants, size.many_past_variants):
        orders.add_history(many - past)
        past = many
        burst = min(size.bursts)
        # The first pays for caches that the new rows have emptied.
        orders.until_complete(orders.place(_WARM_UP))
        figures[f"history of {many}, CPU per variant s"] = cost_of_burst(service, orders, burst)["CPU per variant s"]
        figures[f"history of {many}, look ms"] = service.look_ms()
    few, many = size.few_past_variants, size.many_past_variants
    for name, unit in (("CPU per variant", "s"), ("look", "ms")):
        what = "run" if unit == "s" else "tick"
        ratio = figures[f"history of {many}, {name} {unit}"] / figures[f"history of {few}, {name} {unit}"]
        figures[f"history, {what} cost ratio"] = round(ratio, 2)
    return figures


def isolated(orders: Orders, count: int) -> dict[str, list[float]]:
    """One variant after another, each after a pause that is not in step with any loop."""
    found: list[str] = []
    for number in range(count):
        time.sleep(1.0 + (number * 0.618) % 1.0 * 5.0)
        found += orders.place(1)
        orders.until_complete(found[-1:])
    return orders.latencies_s(found)


def stream(orders: Orders, seconds: int, *, every_s: float) -> dict[str, list[float]]:
    """A job of three variants every so many seconds."""
    found: list[str] = []
    begun_s = time.monotonic()
    for number in range(int(seconds / every_s)):
        time.sleep(max(0.0, begun_s + number * every_s - time.monotonic()))
        found += orders.place(3)
    orders.until_complete(found, within_s=600)
    return orders.latencies_s(found)


def rate_of_burst(orders: Orders, count: int) -> float:
    """Variants a minute of so many at once."""
    begun_s = time.monotonic()
    orders.until_complete(orders.place(count), within_s=900)
    return count / (time.monotonic() - begun_s) * 60


def cost_of_burst(service: Running, orders: Orders, count: int) -> dict[str, Any]:
    """So many variants at once: rate, CPU and connections of each."""
    [traffic] = orders.rows("traffic")
    cpu_s = service.cpu_s()
    rate = rate_of_burst(orders, count)
    # Runs end a moment after their variants, and the server counts a connection when it has ended.
    time.sleep(3)
    spent_s = {name: after - cpu_s[name] for name, after in service.cpu_s().items()}
    [now] = orders.rows("traffic")
    return {
        f"burst of {count}, variants a minute": round(rate, 1),
        "CPU per variant s": round(sum(spent_s.values()) / count, 3),
        **{f"CPU per variant, {name} s": round(seconds / count, 3) for name, seconds in spent_s.items()},
        "connections per run": round((now.sessions - traffic.sessions) / count, 1),
    }


def share_of_the_limit(orders: Orders, stages: StageSet, count: int, folder: Path) -> dict[str, float]:
    """The rate of a burst against that of no Dagster, measured in turn: from minute to minute a shared machine differs
    by more than what is asked."""
    shares = []
    for turn in range(_TURNS):
        rate = rate_of_burst(orders, count)
        time.sleep(3)
        shares.append(rate / throughput(stages, count, folder / f"limit {turn}") * 100)
    return {f"burst of {count}, share of no Dagster, median of {_TURNS} %": round(float(np.median(shares)), 1)}


def statements_per_run(service: Running, orders: Orders) -> float:
    """Of a few runs at once, apart from every other figure: to log them costs time itself."""
    before = service.statements()
    with orders.statements_logged():
        orders.until_complete(orders.place(_LOGGED))
        time.sleep(1)
    return round((service.statements() - before) / _LOGGED, 1)


def idle(service: Running, seconds: int) -> float:
    """CPU of everything while nothing is to do, in percent of one core."""
    time.sleep(3)
    before = sum(service.cpu_s().values())
    time.sleep(seconds)
    return round((sum(service.cpu_s().values()) - before) / seconds * 100, 2)


def _printed(figures: dict[str, Any]) -> dict[str, Any]:
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


@contextmanager
def _orders(service: Running, pictures: Sequence[str]) -> Iterator[Orders]:
    orders = Orders(service.variables["DATABASE_URL"], pictures)
    try:
        yield orders
    finally:
        orders.close()


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
