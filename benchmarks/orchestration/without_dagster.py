"""The limit: the same stage functions and the same state machine from a plain process pool."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import dagster as dg

from benchmarks.orchestration.configurations import AT_A_TIME, StageSet
from benchmarks.orchestration.orders import Orders
from resources.settings import Settings
from resources.wiring import dagster_resources
from service import postgres
from service.database import prepare_database


def throughput(stages: StageSet, count: int, folder: Path) -> float:
    """Variants a minute, on a database of its own; the pool is warm before the first is given to it."""
    url = postgres.start(folder / "postgres").url
    try:
        prepare_database(url)
        orders = Orders(url, stages.pictures(folder / "assets"))
        variables = {"DATABASE_URL": url, "ASSET_ROOT": str(folder / "assets")}
        work = partial(_work_through, stages.assets)
        with ProcessPoolExecutor(
            AT_A_TIME, get_context("forkserver"), initializer=_become, initargs=(variables,)
        ) as pool:
            list(pool.map(work, orders.place(AT_A_TIME * 4)))
            variants = orders.place(count)
            begun_s = time.monotonic()
            list(pool.map(work, variants))
            took_s = time.monotonic() - begun_s
        orders.close()
        return round(count / took_s * 60, 1)
    finally:
        postgres.stop(folder / "postgres")


def _become(variables: dict[str, str]) -> None:
    os.environ.update(variables)


def _work_through(module: str, variant: str) -> None:
    run = uuid4().hex
    for asset in _assets(module):
        context = SimpleNamespace(
            asset_key=asset.key,
            partition_key=variant,
            run=SimpleNamespace(run_id=run),
            instance=SimpleNamespace(get_runs_count=lambda _: 0),
            retry_number=0,
        )
        function = asset.op.compute_fn.decorated_fn  # type: ignore[union-attr]
        wanted = list(inspect.signature(function).parameters)[1:]
        function(context, **{name: _resource(name) for name in wanted})
    _resource("db").claims.complete(UUID(variant))


@cache
def _assets(module: str) -> Sequence[dg.AssetsDefinition]:
    return tuple(import_module(module).STAGES)


@cache
def _resource(name: str) -> Any:
    return dagster_resources(Settings())[name].process_config_and_initialize()
