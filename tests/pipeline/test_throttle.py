"""The throttle's sensor on a Dagster instance with pools."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration.fork_server_state import ForkServerProblem, write_problem
from resources.postgres.database import Database
from resources.pressure import Load
from resources.wiring import SensorSettings
from sensors import throttle as module
from sensors.throttle import CALM_TICKS, POOL, PRESSED_TICKS, pool_limit, throttle


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(
        str(tmp_path), overrides={"concurrency": {"pools": {"granularity": "run", "default_limit": 3}}}
    ) as instance:
        instance.event_log_storage.set_concurrency_slots(POOL, 3)
        yield instance


class Sensor:
    """Looks one after another, each with the cursor of the one before."""

    def __init__(self, instance: dg.DagsterInstance, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self._instance, self._db, self._monkeypatch = instance, db, monkeypatch
        self._cursor: str | None = None
        self.is_on = True

    def tick(self, value: float, times: int = 1) -> str:
        loads = [Load("memory", value, calm=50.0, pressed=90.0, unit=" %")]
        self._monkeypatch.setattr(module, "measured", lambda: loads)
        said = ""
        for _ in range(times):
            resources = {"db": self._db, "sensor_settings": SensorSettings(copies=3, throttle=self.is_on)}
            context = dg.build_sensor_context(instance=self._instance, cursor=self._cursor, resources=resources)
            result = throttle(context)
            assert isinstance(result, dg.SensorResult)
            assert result.skip_reason is not None
            self._cursor = result.cursor or self._cursor
            said = str(result.skip_reason.skip_message)
        return said


@pytest.fixture
def sensor(instance: dg.DagsterInstance, db: Database, monkeypatch: pytest.MonkeyPatch) -> Sensor:
    return Sensor(instance, db, monkeypatch)


def test_the_pool_goes_down_under_pressure_and_back_and_says_why(instance: dg.DagsterInstance, sensor: Sensor) -> None:
    assert sensor.tick(95, PRESSED_TICKS) == (
        "2 at a time instead of 3; memory 95.0 % (too much from 90, well up to 50)"
    )
    assert pool_limit(instance) == 2
    sensor.tick(95, 2 * PRESSED_TICKS)
    assert pool_limit(instance) == 1
    sensor.tick(10, 2 * CALM_TICKS)
    assert pool_limit(instance) == 3


def test_what_people_order_is_the_ceiling(instance: dg.DagsterInstance, db: Database, sensor: Sensor) -> None:
    sensor.tick(10)
    db.maintenance.order_parallel(2)
    assert sensor.tick(10) == "2 at a time instead of 3; 2 were asked for"
    sensor.tick(10, 2 * CALM_TICKS)
    assert pool_limit(instance) == 2


def test_a_fork_server_that_cannot_start_is_named_in_every_tick(
    tmp_path: Path, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = {
        "module": "orchestration.fork_launcher",
        "class": "ForkRunLauncher",
        "config": {"module": "variant_assets.definitions"},
    }
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"run_launcher": launcher}) as instance:
        instance.event_log_storage.set_concurrency_slots(POOL, 3)
        sensor = Sensor(instance, db, monkeypatch)
        assert "fork server" not in sensor.tick(10)
        write_problem(instance, ForkServerProblem.now("shop", "ImportError: there is no till"))
        assert "; no fork server for shop on " in sensor.tick(10)
        assert "ImportError: there is no till" in sensor.tick(10)
        write_problem(instance, None)
        assert "fork server" not in sensor.tick(10)


def test_switched_off_it_gives_back_what_it_took(instance: dg.DagsterInstance, sensor: Sensor) -> None:
    sensor.tick(95, PRESSED_TICKS)
    sensor.is_on = False
    assert sensor.tick(95) == "3 at a time instead of 2; THROTTLE=off"
    assert sensor.tick(95, 5) == "THROTTLE=off"
    assert pool_limit(instance) == 3
