"""Copies of the sensor that wait and hand over, against a real database."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import dagster as dg
import pytest
from sqlalchemy import text

from resources.postgres.database import Database
from sensors.new_variants import MOST_PER_TICK, TickTimeouts, new_variants, request_waiting_variants, wait_and_request
from testing.studio import Studio
from testing.waiting import until

SHORT = TickTimeouts(tick_s=30.0, turn_s=25.0, table_s=20.0)
LISTENERS = "FROM pg_stat_activity WHERE application_name = 'job_variants sensor' AND datname = current_database()"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


class Copies:
    """Ticks of the copies, each in a thread, as Dagster evaluates them."""

    def __init__(self, instance: dg.DagsterInstance, db: Database, studio: Studio) -> None:
        self._instance, self._db, self._studio = instance, db, studio
        self._pool = ThreadPoolExecutor(4)

    def tick(self, name: str, patience: TickTimeouts = SHORT) -> "Future[dg.SensorResult]":
        context = dg.build_sensor_context(instance=self._instance)
        return self._pool.submit(wait_and_request, context, self._db, name, patience)

    def until_waiting(self, holders: int, queued: int) -> None:
        until("copies that queue", lambda: self._counted("AND wait_event = 'advisory'") == queued)
        holding = "AND state = 'idle' AND query LIKE '%pg_advisory_lock%'"
        until("copies that hold the turn", lambda: self._counted(holding) == holders)

    def _counted(self, where: str) -> int:
        return int(self._studio.row(f"SELECT count(*) {LISTENERS} {where}")[0])

    def close(self) -> None:
        self._db.notify_shutdown()
        self._pool.shutdown()


@pytest.fixture
def copies(instance: dg.DagsterInstance, db: Database, studio: Studio) -> Iterator[Copies]:
    copies = Copies(instance, db, studio)
    yield copies
    copies.close()


def asked(result: dg.SensorResult) -> list[UUID]:
    return [UUID(request.partition_key) for request in result.run_requests or ()]


def test_a_commit_ends_the_tick_that_waits_and_the_next_copy_takes_over(studio: Studio, copies: Copies) -> None:
    first = copies.tick("new_variants")
    copies.until_waiting(holders=1, queued=0)
    second = copies.tick("new_variants_2")
    copies.until_waiting(holders=1, queued=1)
    variant = studio.variant(studio.job())
    assert asked(first.result()) == [variant]
    assert not second.done()
    copies.until_waiting(holders=1, queued=0)
    another = studio.variant(studio.job())
    assert asked(second.result()) == [another]


def test_a_variant_that_waited_before_the_tick_is_asked_for_without_any_wait(studio: Studio, copies: Copies) -> None:
    variant = studio.variant(studio.job())
    assert asked(copies.tick("new_variants").result()) == [variant]


def test_a_lost_notification_is_found_in_the_table(studio: Studio, copies: Copies) -> None:
    tick = copies.tick("new_variants", replace(SHORT, table_s=0.2))
    copies.until_waiting(holders=1, queued=0)
    studio.execute("ALTER TABLE jobs_variants DISABLE TRIGGER announce_variant_state")
    variant = studio.variant(studio.job())
    assert asked(tick.result()) == [variant]


def test_a_terminated_connection_is_said_and_the_table_read(
    studio: Studio, copies: Copies, capfd: pytest.CaptureFixture[str]
) -> None:
    tick = copies.tick("new_variants")
    copies.until_waiting(holders=1, queued=0)
    studio.execute("ALTER TABLE jobs_variants DISABLE TRIGGER announce_variant_state")
    variant = studio.variant(studio.job())
    studio.row(f"SELECT count(pg_terminate_backend(pid)) {LISTENERS}")
    assert asked(tick.result()) == [variant]
    assert "the table is read instead" in capfd.readouterr().err


def test_who_waited_in_vain_for_the_turn_reads_the_table_all_the_same(
    studio: Studio, db: Database, copies: Copies
) -> None:
    with db.listening() as stuck:
        assert stuck.take_turn(1)
        variant = studio.variant(studio.job())
        assert asked(copies.tick("new_variants", replace(SHORT, turn_s=0.1)).result()) == [variant]


def test_a_tick_without_anything_ends_when_its_time_is_over(copies: Copies) -> None:
    result = copies.tick("new_variants", TickTimeouts(tick_s=0.3, table_s=0.1)).result()
    assert result.skip_reason is not None
    assert result.skip_reason.skip_message == "No variant waits."


def test_the_service_that_stops_ends_the_tick_and_those_that_wait_for_their_turn(
    db: Database, studio: Studio, copies: Copies
) -> None:
    ticks = [copies.tick("new_variants")]
    copies.until_waiting(holders=1, queued=0)
    ticks += [copies.tick("new_variants_2"), copies.tick("new_variants_3")]
    copies.until_waiting(holders=1, queued=2)
    db.notify_shutdown()
    reasons = {tick.result().skip_reason for tick in ticks}
    assert {reason.skip_message for reason in reasons if reason} == {"The service stops."}


def test_of_copies_that_look_at_once_each_variant_is_asked_for_by_one(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    job = studio.job()
    variants = {studio.variant(job) for _ in range(12)}
    together = threading.Barrier(4)

    def tick(name: str) -> list[UUID]:
        together.wait()
        return asked(request_waiting_variants(instance, db, name))

    with ThreadPoolExecutor(4) as pool:
        found = [key for keys in pool.map(tick, ["a", "b", "c", "d"]) for key in keys]
    assert sorted(found) == sorted(variants)


def test_a_state_is_asked_for_again_by_the_same_copy_only_until_it_is_given_up(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    assert asked(request_waiting_variants(instance, db, "new_variants")) == [variant]
    assert asked(request_waiting_variants(instance, db, "new_variants_2")) == []
    assert asked(request_waiting_variants(instance, db, "new_variants")) == [variant]
    studio.execute("UPDATE variant_requests SET requested_at = now() - interval '2 minutes'")
    assert asked(request_waiting_variants(instance, db, "new_variants_2")) == [variant]


def test_a_state_that_had_a_run_is_not_asked_for_by_another_copy(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    [request] = request_waiting_variants(instance, db, "new_variants").run_requests or ()
    job = dg.GraphDefinition(name="variant_pipeline").to_job()
    tags = {**request.tags, "dagster/run_key": str(request.run_key), "dagster/sensor_name": "new_variants"}
    instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.FAILURE)
    studio.execute("UPDATE variant_requests SET requested_at = now() - interval '2 minutes'")
    assert asked(request_waiting_variants(instance, db, "new_variants_2")) == []
    studio.set_state(variant, "img_gen", "done")
    assert asked(request_waiting_variants(instance, db, "new_variants_2")) == [variant]


def test_without_copies_the_sensor_polls(
    studio: Studio, db: Database, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENSOR_COPIES", "0")
    result = new_variants(dg.build_sensor_context(instance=instance, resources={"db": db}))
    assert isinstance(result, dg.SensorResult)
    assert result.skip_reason is not None
    assert studio.row(f"SELECT count(*) {LISTENERS}")[0] == 0


def test_a_copy_that_the_setting_leaves_out_says_so(
    db: Database, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sensors.new_variants import more_new_variants

    monkeypatch.setenv("SENSOR_COPIES", "2")
    result = more_new_variants[-1](dg.build_sensor_context(instance=instance, resources={"db": db}))
    assert isinstance(result, dg.SensorResult)
    assert result.skip_reason is not None
    assert result.skip_reason.skip_message == "SENSOR_COPIES=2 leaves this copy out."


def test_one_tenant_with_a_hundred_jobs_does_not_fill_the_tick(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    big = studio.job(tenant="big")
    studio.execute(
        "INSERT INTO jobs_variants (job_id, creation_order, current_step, status)"
        " SELECT :j, n, 'img_gen', 'done' FROM generate_series(1, 300) n",
        j=big,
    )
    small = studio.variant(studio.job(tenant="small"))
    result = request_waiting_variants(instance, db, "new_variants")
    assert len(asked(result)) == MOST_PER_TICK
    assert asked(result).index(small) < 2


def history(studio: Studio, jobs: int) -> None:
    """Finished jobs of three finished variants each."""
    studio.job()
    with studio.engine.begin() as connection:
        # The triggers would settle each job three times.
        connection.execute(text("ALTER TABLE jobs_variants DISABLE TRIGGER USER"))
        connection.execute(
            text(
                "WITH job AS (INSERT INTO jobs (tenant_id, current_step, status)"
                " SELECT 'cafe', 'iou_eval', 'done' FROM generate_series(1, :n) RETURNING job_id)"
                " INSERT INTO jobs_variants (job_id, creation_order, current_step, status)"
                " SELECT job_id, n, 'iou_eval', 'done' FROM job, generate_series(1, 3) n"
            ),
            {"n": jobs},
        )
        connection.execute(text("ALTER TABLE jobs_variants ENABLE TRIGGER USER"))
        connection.execute(text("ANALYZE jobs_variants, jobs"))


def test_no_read_of_a_tick_walks_through_the_history(studio: Studio) -> None:
    from resources.postgres.queries import named

    history(studio, 34_000)
    studio.variant(studio.job())
    reads: dict[str, dict[str, Any]] = {
        "any_startable_variant": {},
        "find_startable_variants": {"in_flight": [], "most": 100},
        "find_running_variants": {"older_than_s": 10, "most": 100},
        "find_unsettled_jobs": {"most": 100},
    }
    for name, parameters in reads.items():
        with studio.engine.begin() as connection:
            connection.execute(text("SET LOCAL jit = off"))
            plan = connection.execute(text(f"EXPLAIN (FORMAT JSON) {named(name)}"), parameters).scalar_one()
        assert sequential(plan[0]["Plan"]) & {"jobs", "jobs_variants"} == set(), name


def sequential(plan: dict[str, Any]) -> set[str]:
    """The tables that a plan reads from the first row to the last."""
    inner = [each for child in plan.get("Plans", []) for each in sequential(child)]
    return {*inner, *([str(plan["Relation Name"])] if plan["Node Type"] == "Seq Scan" else [])}
