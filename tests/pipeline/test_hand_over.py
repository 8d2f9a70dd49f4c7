"""Copies of the sensor that pass the lock to one another, against a real database."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import dagster as dg
import pytest
from sqlalchemy import text

from resources.images import ImageStore
from resources.postgres.database import Database
from resources.postgres.queries import named
from resources.wiring import SensorSettings
from sensors import new_variants as new_variants_module
from sensors.new_variants import MOST_PER_TICK, TickTimeouts, new_variants, request_waiting_variants, wait_and_request
from testing.studio import Studio
from testing.waiting import until
from variant_assets import runs

SHORT = TickTimeouts(tick_s=30.0, lock_s=25.0, poll_s=20.0)
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

    def tick(self, name: str, timeouts: TickTimeouts = SHORT) -> "Future[dg.SensorResult]":
        context = dg.build_sensor_context(instance=self._instance)
        return self._pool.submit(wait_and_request, context, self._db, name, timeouts=timeouts)

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


def requested(result: dg.SensorResult) -> list[UUID]:
    return [UUID(request.partition_key) for request in result.run_requests or ()]


def test_a_commit_ends_the_tick_that_waits_and_the_next_copy_takes_over(studio: Studio, copies: Copies) -> None:
    first = copies.tick("new_variants")
    copies.until_waiting(holders=1, queued=0)
    second = copies.tick("new_variants_2")
    copies.until_waiting(holders=1, queued=1)
    variant = studio.variant(studio.job())
    assert requested(first.result()) == [variant]
    assert not second.done()
    copies.until_waiting(holders=1, queued=0)
    another = studio.variant(studio.job())
    assert requested(second.result()) == [another]


def test_a_variant_that_waited_before_the_tick_is_requested_without_any_wait(studio: Studio, copies: Copies) -> None:
    variant = studio.variant(studio.job())
    assert requested(copies.tick("new_variants").result()) == [variant]


def test_a_lost_notification_is_found_in_the_table(studio: Studio, copies: Copies) -> None:
    tick = copies.tick("new_variants", replace(SHORT, poll_s=0.2))
    copies.until_waiting(holders=1, queued=0)
    studio.execute("ALTER TABLE jobs_variants DISABLE TRIGGER announce_variant_state")
    variant = studio.variant(studio.job())
    assert requested(tick.result()) == [variant]


def test_a_terminated_connection_is_said_and_the_table_read(
    studio: Studio, copies: Copies, capfd: pytest.CaptureFixture[str]
) -> None:
    tick = copies.tick("new_variants")
    copies.until_waiting(holders=1, queued=0)
    studio.execute("ALTER TABLE jobs_variants DISABLE TRIGGER announce_variant_state")
    variant = studio.variant(studio.job())
    studio.row(f"SELECT count(pg_terminate_backend(pid)) {LISTENERS}")
    assert requested(tick.result()) == [variant]
    assert "the table is read instead" in capfd.readouterr().err


def test_a_copy_that_waited_in_vain_for_the_lock_reads_the_table_all_the_same(
    studio: Studio, db: Database, copies: Copies
) -> None:
    with db.listener() as stuck:
        assert stuck.acquire_lock(1)
        variant = studio.variant(studio.job())
        assert requested(copies.tick("new_variants", replace(SHORT, lock_s=0.1)).result()) == [variant]


def test_a_tick_without_anything_ends_when_its_time_is_over(copies: Copies) -> None:
    result = copies.tick("new_variants", TickTimeouts(tick_s=0.3, poll_s=0.1)).result()
    assert result.skip_reason is not None
    assert result.skip_reason.skip_message == "No variant waits."


def test_the_service_that_stops_ends_the_tick_and_those_that_wait_for_the_lock(
    db: Database, studio: Studio, copies: Copies
) -> None:
    ticks = [copies.tick("new_variants")]
    copies.until_waiting(holders=1, queued=0)
    ticks += [copies.tick("new_variants_2"), copies.tick("new_variants_3")]
    copies.until_waiting(holders=1, queued=2)
    db.notify_shutdown()
    reasons = {tick.result().skip_reason for tick in ticks}
    assert {reason.skip_message for reason in reasons if reason} == {
        "The service stops, or its daemon was started again."
    }


def test_a_tick_whose_daemon_died_while_it_waited_for_the_lock_requests_nothing(
    db: Database, studio: Studio, copies: Copies
) -> None:
    holder = copies.tick("new_variants")
    copies.until_waiting(holders=1, queued=0)
    waiting = copies.tick("new_variants_2")
    copies.until_waiting(holders=1, queued=1)
    studio.execute("ALTER TABLE jobs_variants DISABLE TRIGGER announce_variant_state")
    studio.variant(studio.job())
    db.notify_shutdown()
    assert requested(holder.result()) == requested(waiting.result()) == []
    assert studio.row("SELECT count(*) FROM variant_requests")[0] == 0


def test_what_a_dead_daemon_was_asked_for_may_be_requested_by_any_sensor_five_seconds_later(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    assert requested(request_waiting_variants(instance, db, "new_variants")) == [variant]
    assert db.run_requests.release() == 1
    assert requested(request_waiting_variants(instance, db, "new_variants_2")) == []
    studio.execute("UPDATE variant_requests SET requested_at = requested_at - interval '5 seconds'")
    assert requested(request_waiting_variants(instance, db, "new_variants_2")) == [variant]


def test_of_copies_that_read_at_the_same_moment_one_requests_each_variant(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    job = studio.job()
    variants = {studio.variant(job) for _ in range(12)}
    together = threading.Barrier(4)

    def tick(name: str) -> list[UUID]:
        together.wait()
        return requested(request_waiting_variants(instance, db, name))

    with ThreadPoolExecutor(4) as pool:
        found = [key for keys in pool.map(tick, ["a", "b", "c", "d"]) for key in keys]
    assert sorted(found) == sorted(variants)


def test_a_state_is_requested_again_only_by_the_same_copy_until_its_minute_is_over(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    assert requested(request_waiting_variants(instance, db, "new_variants")) == [variant]
    assert requested(request_waiting_variants(instance, db, "new_variants_2")) == []
    assert requested(request_waiting_variants(instance, db, "new_variants")) == [variant]
    studio.execute("UPDATE variant_requests SET requested_at = now() - interval '2 minutes'")
    assert requested(request_waiting_variants(instance, db, "new_variants_2")) == [variant]


def test_a_state_that_had_a_run_is_not_requested_by_another_copy(
    studio: Studio, db: Database, instance: dg.DagsterInstance
) -> None:
    variant = studio.variant(studio.job())
    run_for(instance, request_waiting_variants(instance, db, "new_variants"), dg.DagsterRunStatus.FAILURE)
    studio.execute("UPDATE variant_requests SET requested_at = now() - interval '2 minutes'")
    assert requested(request_waiting_variants(instance, db, "new_variants_2")) == []
    studio.set_state(variant, "img_gen", "done")
    assert requested(request_waiting_variants(instance, db, "new_variants_2")) == [variant]


def run_for(instance: dg.DagsterInstance, result: dg.SensorResult, status: dg.DagsterRunStatus) -> None:
    """The run that Dagster creates for the only request of a tick of sensor new_variants."""
    [request] = result.run_requests or ()
    job = dg.GraphDefinition(name="variant_pipeline").to_job()
    tags = {
        **request.tags,
        "dagster/run_key": str(request.run_key),
        "dagster/sensor_name": "new_variants",
        "dagster/partition": str(request.partition_key),
    }
    instance.create_run_for_job(job, tags=tags, status=status)


def test_a_run_that_was_never_submitted_is_requested_again_by_its_own_sensor_only(
    studio: Studio, db: Database, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = studio.variant(studio.job())
    first = request_waiting_variants(instance, db, "new_variants")
    run_for(instance, first, dg.DagsterRunStatus.NOT_STARTED)
    assert requested(request_waiting_variants(instance, db, "new_variants")) == []
    monkeypatch.setattr(runs, "_SUBMITTED_WITHIN", timedelta(0))
    again = request_waiting_variants(instance, db, "new_variants")
    assert requested(again) == [variant]
    assert (again.run_requests or ())[0].run_key == (first.run_requests or ())[0].run_key
    studio.execute("UPDATE variant_requests SET requested_at = now() - interval '2 minutes'")
    assert requested(request_waiting_variants(instance, db, "new_variants_2")) == []


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE])
def test_a_state_whose_run_is_over_is_not_requested_again_by_its_own_sensor_either(
    studio: Studio, db: Database, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    studio.variant(studio.job())
    run_for(instance, request_waiting_variants(instance, db, "new_variants"), status)
    assert requested(request_waiting_variants(instance, db, "new_variants")) == []
    assert studio.row("SELECT run_outcome FROM variant_requests")[0] == "ended"


def test_variants_whose_runs_were_terminated_do_not_keep_new_ones_waiting(
    studio: Studio, db: Database, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_variants_module, "MOST_PER_TICK", 1)
    job = studio.job()
    studio.variant(job)
    run_for(instance, request_waiting_variants(instance, db, "new_variants"), dg.DagsterRunStatus.CANCELED)
    new = studio.variant(job)
    ticks = [requested(request_waiting_variants(instance, db, "new_variants")) for _ in range(2)]
    assert ticks == [[], [new]]


def test_without_copies_the_sensor_polls(studio: Studio, db: Database, instance: dg.DagsterInstance) -> None:
    resources = {
        "db": db,
        "images": ImageStore(studio.asset_root),
        "sensor_settings": SensorSettings(copies=0, throttle=True),
    }
    result = new_variants(dg.build_sensor_context(instance=instance, resources=resources))
    assert isinstance(result, dg.SensorResult)
    assert result.skip_reason is not None
    assert studio.row(f"SELECT count(*) {LISTENERS}")[0] == 0


def test_a_copy_that_the_setting_leaves_out_says_so(studio: Studio, db: Database, instance: dg.DagsterInstance) -> None:
    from sensors.new_variants import more_new_variants

    resources = {
        "db": db,
        "images": ImageStore(studio.asset_root),
        "sensor_settings": SensorSettings(copies=2, throttle=True),
    }
    result = more_new_variants[-1](dg.build_sensor_context(instance=instance, resources=resources))
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
    assert len(requested(result)) == MOST_PER_TICK
    assert requested(result).index(small) < 2


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
    history(studio, 34_000)
    studio.variant(studio.job())
    reads: dict[str, dict[str, Any]] = {
        "any_startable_variant": {},
        "request_startable_variants": {"sensor": "new_variants", "in_flight": [], "most": 100, "kept_s": 60},
        "find_held_variants": {"in_flight": [], "most": 100},
        "find_unbegun_variants": {"in_flight": [], "most": 100},
        "find_running_variants": {"older_than_s": 0, "most": 100},
        "find_unsettled_jobs": {"most": 100},
    }
    for name, parameters in reads.items():
        with studio.engine.begin() as connection:
            connection.execute(named(name), parameters)
            walked = connection.execute(
                text(
                    "SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname IN ('jobs', 'jobs_variants')"
                )
            )
            assert {row.relname: row.seq_scan for row in walked} == {"jobs": 0, "jobs_variants": 0}, name
