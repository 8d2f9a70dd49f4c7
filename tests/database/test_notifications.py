"""NOTIFY job_variant_state_changed: a hint for every change of state, and nothing else."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine, make_url, text

from testing.shop import Shop


@pytest.fixture
def heard(database_url: str) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    connection = psycopg2.connect(
        make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("LISTEN job_variant_state_changed")

    def read() -> list[dict[str, Any]]:
        # The server delivers what was committed before it answers the next statement.
        cursor.execute("SELECT 1")
        connection.poll()
        messages = [json.loads(notice.payload) for notice in connection.notifies]
        connection.notifies.clear()
        return messages

    yield read
    connection.close()


def test_an_insert_is_announced(shop: Shop, heard: Callable[[], list[dict[str, Any]]]) -> None:
    job = shop.job()
    variant = shop.variant(job, step="img_gen", status="done")
    assert heard() == [
        {"job_variants_id": str(variant), "job_id": str(job), "current_step": "img_gen", "status": "done"}
    ]


def test_only_a_change_of_state_is_announced(shop: Shop, heard: Callable[[], list[dict[str, Any]]]) -> None:
    variant = shop.variant(shop.job(), status="queued")
    heard()
    shop.execute("UPDATE jobs_variants SET selected = true WHERE job_variants_id = :v", v=variant)
    shop.set_state(variant, "img_gen", "queued")
    assert heard() == []
    shop.set_state(variant, "img_gen", "done")
    assert [message["status"] for message in heard()] == ["done"]


def test_updated_at_is_kept_by_the_database(shop: Shop) -> None:
    variant = shop.variant(shop.job())
    read = "SELECT updated_at, state_revision FROM jobs_variants WHERE job_variants_id = :v"
    before = shop.row(read, v=variant)
    shop.execute("UPDATE jobs_variants SET selected = true WHERE job_variants_id = :v", v=variant)
    after = shop.row(read, v=variant)
    assert after.updated_at > before.updated_at
    assert after.state_revision == before.state_revision


def test_writing_the_same_state_again_is_a_new_revision(shop: Shop) -> None:
    variant = shop.variant(shop.job())
    read = "SELECT state_revision FROM jobs_variants WHERE job_variants_id = :v"
    before = shop.row(read, v=variant)[0]
    shop.set_state(variant, "img_gen", "done")
    assert shop.row(read, v=variant)[0] > before


def test_writers_with_a_search_path_of_their_own_change_states_and_complete_jobs(shop: Shop, engine: Engine) -> None:
    job = shop.job()
    variant = shop.variant(job, status="queued")
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL search_path = pg_catalog"))
        connection.execute(text("UPDATE public.jobs_variants SET status = 'done'"))
        connection.execute(text("UPDATE public.jobs_variants SET status = 'failed'"))
    assert shop.state_of(variant) == ("img_gen", "failed")
    assert shop.job_state(job)[1] == "failed"


def test_no_trigger_of_ours_sits_on_another_table(shop: Shop) -> None:
    tables = shop.row("SELECT array_agg(DISTINCT tgrelid::regclass::text) FROM pg_trigger WHERE NOT tgisinternal")
    assert tables[0] == ["jobs_variants"]
