"""Writers of other teams lock jobs and variants in any order; none of them, and nothing of ours, waits in a circle."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, text

from resources.postgres.database import Database
from resources.postgres.errors import UnknownVariant
from testing.shop import Shop, work_through
from testing.waiting import until

JOB_FIRST = (
    "UPDATE jobs SET updated_at = now() WHERE job_id = :job",
    "UPDATE jobs_variants SET selected = true WHERE job_variants_id = :variant",
)
ORDERS = {"the job first": JOB_FIRST, "the variant first": tuple(reversed(JOB_FIRST))}
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {}"

End = Callable[[Database, UUID], object]
ENDS: dict[str, End] = {
    "complete": lambda db, variant: db.claims.complete(variant),
    "fail": lambda db, variant: db.claims.fail(variant, "iou_eval", "run", "broken", final=True),
    "recover": lambda db, variant: db.claims.recover(variant, "run"),
    "terminate": lambda db, variant: db.claims.end_terminated(variant, "run"),
}


@pytest.fixture
def js(engine: Engine) -> Iterator[Connection]:
    """Another team's session, in a transaction that the test ends."""
    with engine.connect() as connection:
        # A statement that waits here waits for us.
        connection.execute(text("SET lock_timeout = '2s'"))
        connection.commit()
        yield connection


@pytest.fixture
def at_the_end(db: Database, shop: Shop) -> tuple[UUID, UUID]:
    """A job whose only variant waits for the check of its last stage."""
    job = shop.job()
    variant = shop.variant(job)
    work_through(db, variant, "run")
    return job, variant


def is_stuck(shop: Shop) -> bool:
    """A session of ours waits for a lock, or sleeps before it tries again."""
    return bool(shop.row(WAITING.format("(wait_event_type = 'Lock' OR wait_event = 'PgSleep')"))[0])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("end", ENDS)
def test_a_variant_ends_beside_a_writer_of_its_job_without_a_deadlock(
    db: Database, shop: Shop, js: Connection, at_the_end: tuple[UUID, UUID], end: str, order: str
) -> None:
    job, variant = at_the_end
    first, second = ORDERS[order]
    with ThreadPoolExecutor(1) as pool:
        js.execute(text(first), {"job": job, "variant": variant})
        ended: Future[object] = pool.submit(ENDS[end], db, variant)
        until("the other session waits", lambda: is_stuck(shop))
        js.execute(text(second), {"job": job, "variant": variant})
        js.commit()
        ended.result(timeout=10)
    assert shop.job_state(job)[1] == ("done" if end in ("complete", "recover") else "failed")


def test_a_variant_that_is_ended_by_hand_waits_for_no_writer_of_its_job(
    db: Database, shop: Shop, js: Connection, at_the_end: tuple[UUID, UUID]
) -> None:
    job, variant = at_the_end
    js.execute(text(JOB_FIRST[0]), {"job": job})
    shop.set_state(variant, "iou_eval", "failed")
    assert shop.job_state(job)[1] == "running"
    js.execute(text(JOB_FIRST[1]), {"variant": variant})
    js.commit()
    assert db.maintenance.unsettled_jobs(most=9) == [job]
    db.maintenance.settle_job(job)
    assert shop.job_state(job)[1] == "failed"
    assert shop.row("SELECT count(*) FROM unsettled_jobs")[0] == 0


def test_two_variants_ended_in_transactions_with_old_snapshots_are_counted(
    db: Database, shop: Shop, engine: Engine
) -> None:
    job = shop.job()
    variants = [shop.variant(job), shop.variant(job)]
    sessions = [engine.connect().execution_options(isolation_level="REPEATABLE READ") for _ in variants]
    for session, variant in zip(sessions, variants, strict=True):
        session.execute(
            text("UPDATE jobs_variants SET status = 'failed' WHERE job_variants_id = :variant"), {"variant": variant}
        )
    for session in sessions:
        session.commit()
        session.close()
    assert db.maintenance.unsettled_jobs(most=9) == [job]
    db.maintenance.settle_job(job)
    assert shop.job_state(job)[1] == "failed"


def test_a_job_that_is_being_deleted_takes_the_variant_from_its_run(
    db: Database, shop: Shop, js: Connection, at_the_end: tuple[UUID, UUID]
) -> None:
    job, variant = at_the_end
    with ThreadPoolExecutor(1) as pool:
        js.execute(text("DELETE FROM jobs WHERE job_id = :job"), {"job": job})
        completed = pool.submit(db.claims.complete, variant)
        until("the completion waits", lambda: is_stuck(shop))
        js.commit()
        with pytest.raises(UnknownVariant):
            completed.result(timeout=10)
    assert shop.row("SELECT count(*) FROM unsettled_jobs")[0] == 0


def test_a_sensor_passes_over_a_variant_that_is_being_deleted(db: Database, shop: Shop, js: Connection) -> None:
    job = shop.job()
    gone, kept = shop.variant(job), shop.variant(job)
    js.execute(text("DELETE FROM jobs_variants WHERE job_variants_id = :variant"), {"variant": gone})
    [requested] = db.run_requests.request_startable("new_variants", [], most=9)
    assert requested.job_variants_id == kept
    js.rollback()
    [requested] = db.run_requests.request_startable("new_variants", [kept], most=9)
    assert requested.job_variants_id == gone
