"""Nothing that a run, a tick, retention or a deletion asks walks through a table of the history."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from resources.postgres.migrations import migrate
from resources.postgres.queries import SQL_FOLDER, load, named
from testing import races
from testing.databases import new_database
from testing.shop import Shop, output

# A person asks for these, and they read everything.
FOR_PEOPLE = {
    "count_held_work",
    "count_unknown_states",
    "find_broken_invariants",
    "find_unfinished_done_jobs",
    "release_old_work",
}
# Retention empties variant_requests, so it stays small. Old jobs are looked for once an hour, where a setting says so.
ALLOWED = {
    "remove_past_requests": {"variant_requests"},
    "release_requests": {"variant_requests"},
    "find_old_jobs": {"jobs", "jobs_variants"},
}
WALKED = """
    SELECT relname FROM pg_stat_xact_user_tables
    WHERE seq_scan > 0 AND relname NOT IN ('tenants', 'unsettled_jobs', 'parallel_order', 'service_lease')
"""
FOREIGN_KEYS = """
    SELECT conrelid::regclass || ' (' || attname || ')', EXISTS (
        SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1] AND i.indpred IS NULL)
    FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
    WHERE c.contype = 'f'
"""


@pytest.fixture(scope="module")
def history(postgres_url: str) -> Iterator[Engine]:
    """A thousand done jobs with all that belongs to them."""
    with new_database(postgres_url) as url:
        migrate(url)
        engine = create_engine(url, poolclass=NullPool)
        races.prepare(engine, races.FINISH_TOGETHER, rounds=1000)
        shop = Shop(engine)
        shop.execute("ALTER TABLE jobs_variants DISABLE TRIGGER USER")
        shop.execute("UPDATE jobs_variants SET status = 'done', claimed_by = NULL, claim_revision = NULL")
        shop.execute("UPDATE jobs SET current_step = 'iou_eval', status = 'done'")
        shop.execute("ALTER TABLE jobs_variants ENABLE TRIGGER USER")
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        yield engine
        engine.dispose()


@pytest.fixture
def at_work(history: Engine) -> UUID:
    """A variant in its last stage, among the history; another one waits for its run."""
    shop = Shop(history)
    job = shop.job()
    shop.variant(job)
    return shop.variant(job)


PARAMETERS: dict[str, Any] = {
    "stage": "vlm_analyze",
    "run": "run",
    "ended_run": None,
    "asked_revision": None,
    "message": "broken",
    "final": True,
    "result": output("vlm_analyze").value.model_dump_json(),
    "request": "{}",
    "latency_ms": 1.0,
    "revision": 1,
    "image": None,
    "artifact_url": "/assets/yh/new.png",
    "verdict": "{}",
    "sensor": "new_variants",
    "in_flight": [],
    "most": 100,
    "kept_s": 60.0,
    "state_revision": 1,
    "outcome": "ended",
    "older_than_s": 0,
    "before": "2026-01-01",
    "room": 6,
    "holder": "{}",
    "renewals_seen": 0,
    "variants": [str(UUID(int=16 + 1))],
    "urls": [f"/assets/yh/{number}/1.png" for number in range(50)],
}


@pytest.mark.parametrize("name", sorted(set(load(SQL_FOLDER / "queries.sql")) - FOR_PEOPLE - {"order_parallel"}))
def test_no_query_walks_through_the_history(history: Engine, at_work: UUID, name: str) -> None:
    job = Shop(history).row("SELECT job_id FROM jobs_variants WHERE job_variants_id = :v", v=at_work)[0]
    given = PARAMETERS | {"variant": str(at_work), "job": str(job)}
    statement = named(name)
    with history.connect() as connection:
        # Also what is refused in the end has read before.
        with suppress_refusals(), connection.begin_nested():
            connection.execute(statement, {key: given[key] for key in statement.compile().params})
        walked = set(connection.execute(text(WALKED)).scalars())
        connection.rollback()
    assert walked - ALLOWED.get(name, set()) == set()


@contextmanager
def suppress_refusals() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if not str(getattr(error.orig, "pgcode", "")).startswith("JV"):
            raise


def test_a_job_is_deleted_without_a_walk_through_the_history(history: Engine) -> None:
    with history.connect() as connection:
        connection.execute(text("DELETE FROM jobs WHERE job_id = :job"), {"job": UUID(int=16)})
        assert list(connection.execute(text(WALKED)).scalars()) == []
        connection.rollback()


def test_every_foreign_key_has_an_index(history: Engine) -> None:
    found = Shop(history).table(FOREIGN_KEYS)
    assert [key for key, has_index in found.items() if not has_index] == []
