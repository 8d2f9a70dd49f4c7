"""A database of the service before this one is adopted with everything in it."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from resources.postgres.database import Database
from resources.postgres.migrations import migrate
from testing.databases import new_database
from testing.shop import Shop, work_through

TABLES = (
    "tenants",
    "image_assets",
    "jobs",
    "job_inputs",
    "jobs_variants",
    "txt_ad_copy_generations",
    "vlm_traces",
    "detections",
    "yolo_runs",
    "planner_proposals",
    "overlay_layouts",
    "evaluations",
)


def job(number: int) -> UUID:
    return UUID(int=number)


def counts(shop: Shop) -> dict[str, int]:
    return {table: shop.row(f"SELECT count(*) FROM {table}")[0] for table in TABLES}


@pytest.fixture
def old(postgres_url: str) -> Iterator[Shop]:
    with new_database(postgres_url) as url:
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            script = Path(__file__).with_name("old_database.sql").read_text()
            connection.execution_options(no_parameters=True).exec_driver_sql(script)
        yield Shop(engine)
        engine.dispose()


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def adopted(old: Shop) -> Shop:
    before = counts(old)
    migrate(url_of(old.engine))
    assert counts(old) == before
    return old


def states(shop: Shop, number: int) -> set[tuple[str, str]]:
    rows = shop.row(
        "SELECT array_agg(DISTINCT current_step || ' ' || status) FROM jobs_variants WHERE job_id = :j", j=job(number)
    )
    return {tuple(row.split()) for row in rows[0]}


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (1, ("img_gen", "queued")),
        (2, ("vlm_analyze", "running")),
        (3, ("planner", "running")),
        (4, ("iou_eval", "done")),
        (5, ("iou_eval", "done")),
    ],
)
def test_the_step_and_status_of_a_job_move_to_its_variants(adopted: Shop, number: int, state: tuple[str, str]) -> None:
    assert states(adopted, number) == {state}


def test_jobs_keep_their_own_step_and_status(adopted: Shop) -> None:
    assert [adopted.job_state(job(number)) for number in range(1, 6)] == [
        ("img_gen", "running"),
        ("vlm_analyze", "running"),
        ("planner", "running"),
        ("iou_eval", "done"),
        ("ab_vote", "done"),
    ]


def test_every_attributable_result_names_its_variant_and_one_of_each_is_current(adopted: Shop) -> None:
    for table in ("detections", "yolo_runs", "planner_proposals", "evaluations"):
        assert adopted.row(f"SELECT count(*) FROM {table} WHERE job_variants_id IS NULL")[0] == 0, table
    assert adopted.row("SELECT count(*) FROM overlay_layouts WHERE is_current")[0] == 15 + 1
    assert adopted.row("SELECT count(*) FROM overlay_layouts WHERE NOT is_current")[0] == 15
    assert adopted.row("SELECT count(*) FROM vlm_traces WHERE job_variants_id IS NULL")[0] == 5


def test_three_variants_of_a_job_can_have_a_detection_run_each(adopted: Shop) -> None:
    adopted.execute("DELETE FROM yolo_runs")
    adopted.execute("INSERT INTO yolo_runs (job_id, job_variants_id) SELECT job_id, job_variants_id FROM jobs_variants")
    runs = adopted.table("SELECT job_id, count(DISTINCT job_variants_id) FROM yolo_runs GROUP BY job_id")
    assert runs == {job(number): 3 for number in range(1, 6)}


def test_the_triggers_of_the_old_service_are_gone_and_those_of_others_stay(adopted: Shop) -> None:
    names = adopted.row("SELECT array_agg(tgname::text ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal")[0]
    assert not {"job_state_changed", "job_done"} & set(names)
    assert "ye_counts" in names


def test_what_was_in_work_starts_again_and_completes_its_job(adopted: Shop) -> None:
    db = Database(url_of(adopted.engine))
    left = db.maintenance.running_variants(older_than_s=0, most=100)
    assert len(left) == 6
    assert {db.claims.recover(variant.job_variants_id, variant.claimed_by) for variant in left} == {"restarted"}
    # Nothing here is built on a result of the old service, so all start at the first stage.
    waiting = db.run_requests.request_startable("new_variants", [], most=100)
    assert {variant.start_stage for variant in waiting} == {"vlm_analyze"}
    for variant in waiting:
        work_through(db, variant.job_variants_id, "run")
        db.claims.complete(variant.job_variants_id)
    db.close()
    assert [adopted.job_state(job(number))[1] for number in (2, 3)] == ["done", "done"]


def test_variants_that_carry_a_stage_already_keep_it(old: Shop) -> None:
    old.execute("ALTER TABLE jobs_variants ADD status varchar DEFAULT 'queued', ADD current_step varchar")
    old.execute("UPDATE jobs_variants SET current_step = 'ocr_eval', status = 'done' WHERE job_id = :j", j=job(3))
    migrate(url_of(old.engine))
    assert states(old, 3) == {("ocr_eval", "done")}


def test_a_state_nobody_knows_stops_the_migration_and_is_named(old: Shop) -> None:
    old.execute("ALTER TABLE jobs_variants ADD status varchar DEFAULT 'queued', ADD current_step varchar")
    old.execute("UPDATE jobs_variants SET current_step = 'img_gen', status = 'paused' WHERE job_id = :j", j=job(1))
    with pytest.raises(DBAPIError, match=r"states this project does not know: .* is \(img_gen, paused\)"):
        migrate(url_of(old.engine))
