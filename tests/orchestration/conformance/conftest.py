"""The same tests run with Dagster's stock classes and with ours: what both promise is promised here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from testing.forking.runs import instance_on


@pytest.fixture(params=["stock", "pooled"])
def instance(request: pytest.FixtureRequest, dagster_url: str, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with instance_on(request.param, dagster_url, tmp_path) as made:
        yield made
