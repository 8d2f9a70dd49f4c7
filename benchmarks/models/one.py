"""One backend in this process: import, load, first and warm call, fifty variants from eight threads. Prints JSON."""

from __future__ import annotations

import ctypes
import gc
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.models.cases import KINDS, Call, Case, Kind, import_libraries
from testing.models.cache import prepare_libraries

VARIANTS, THREADS, SETTLED = 50, 8, 5
_PAIRS = 15


def measure(name: str, url: str) -> dict[str, float | bool]:
    kind = KINDS[name]
    with _counted(kind) as loads, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        import_s = _seconds(lambda: import_libraries(kind))
        case = kind.make(Path(folder), url)
        load_s = _seconds(case.backend.load)
        first_ms = _seconds(case.variant) * 1000
        warm_ms = statistics.median(_seconds(case.variant) for _ in range(5)) * 1000
        ratio = _ratio(case)
        settled_mb, valid = _many(case, SETTLED)
        grown_mb, all_valid = _many(case, VARIANTS - SETTLED)
        return {
            "import_s": round(import_s, 2),
            "load_s": round(load_s, 2),
            "first_ms": round(first_ms, 1),
            "warm_ms": round(warm_ms, 1),
            "against_bare": round(ratio, 3),
            "loads": loads(),
            "memory_mb": round(settled_mb, 1),
            "growth": round(grown_mb / settled_mb - 1, 4),
            "valid": valid and all_valid,
        }


def _seconds(work: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    work()
    return time.perf_counter() - begun_s


def _ratio(case: Case) -> float:
    """Ours over the library alone, the median of neighbouring pairs; 1 where there is no library to call."""
    if case.ours is None or case.bare is None:
        return 1.0
    ours: Call = case.ours
    bare = case.bare()
    bare()
    return statistics.median(_seconds(ours) / _seconds(bare) for _ in range(_PAIRS))


def _many(case: Case, variants: int) -> tuple[float, bool]:
    """Resident memory in MB after so many variants from THREADS threads, and whether all answers were valid."""
    with ThreadPoolExecutor(THREADS) as pool:
        valid = all(pool.map(lambda _: case.variant(), range(variants)))
    gc.collect()
    # What is free already is no growth, whether or not the allocator has given it back.
    ctypes.CDLL(None).malloc_trim(0)
    return psutil.Process().memory_info().rss / 1e6, valid


@contextmanager
def _counted(kind: Kind) -> Iterator[Callable[[], int]]:
    if not isinstance(kind.loads, tuple):
        yield kind.loads
        return
    owner, name = kind.loads
    real, counted = getattr(owner, name), []

    def load(self: object, *given: object) -> object:
        counted.append(1)
        return real(self, *given)

    setattr(owner, name, load)
    try:
        yield lambda: len(counted)
    finally:
        setattr(owner, name, real)


def prepare() -> None:
    """Libraries stay off the network and keep their warnings to themselves."""
    warnings.simplefilter("ignore")
    prepare_libraries()


def main() -> int:
    name, url = sys.argv[1:]
    prepare()
    print(json.dumps(measure(name, url)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
