"""A database of the service before this one is adopted with everything in it, and the other teams go on as before."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.pool import NullPool

from resources.postgres import migrations, release
from resources.postgres.adoption import SHARED_TABLES, MigrationRefused
from resources.postgres.database import Database
from resources.postgres.migration_files import MigrationFile, Step, files, read
from testing.databases import new_database, run_script
from testing.shop import Shop, work_through

# Jobs 17 to 21 of old_states.sql.
DONE, WITHOUT_STEPS, OF_TODAY, BACKLOG, UNSETTLED = (UUID(int=n) for n in range(17, 22))


def job(number: int) -> UUID:
    return UUID(int=number)


def counts(shop: Shop) -> dict[str, int]:
    return {table: shop.row(f"SELECT count(*) FROM {table}")[0] for table in SHARED_TABLES}


@contextmanager
def shop_at(url: str) -> Iterator[Shop]:
    engine = create_engine(url, poolclass=NullPool)
    yield Shop(engine)
    engine.dispose()


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


@contextmanager
def old_database(postgres_url: str, *scripts: str) -> Iterator[Shop]:
    with new_database(postgres_url) as url, shop_at(url) as shop:
        for script in scripts:
            run_script(url, script)
        yield shop


@pytest.fixture
def old(postgres_url: str) -> Iterator[Shop]:
    """Variants without a state of their own."""
    with old_database(postgres_url, "old_database.sql") as shop:
        yield shop


@pytest.fixture
def old_states(postgres_url: str) -> Iterator[Shop]:
    """Variants with states of their own."""
    with old_database(postgres_url, "old_database.sql", "old_states.sql") as shop:
        yield shop


@contextmanager
def adopted_template(postgres_url: str, *scripts: str) -> Iterator[str]:
    with old_database(postgres_url, *scripts) as shop:
        before = counts(shop)
        migrations.migrate(url_of(shop.engine))
        assert counts(shop) == before
        yield str(make_url(url_of(shop.engine)).database)


@pytest.fixture(scope="module")
def adopted_jobs_template(postgres_url: str) -> Iterator[str]:
    with adopted_template(postgres_url, "old_database.sql") as name:
        yield name


@pytest.fixture(scope="module")
def adopted_states_template(postgres_url: str) -> Iterator[str]:
    with adopted_template(postgres_url, "old_database.sql", "old_states.sql") as name:
        yield name


@pytest.fixture
def adopted(postgres_url: str, adopted_jobs_template: str) -> Iterator[Shop]:
    with new_database(postgres_url, template=adopted_jobs_template) as url, shop_at(url) as shop:
        yield shop


@pytest.fixture
def adopted_states(postgres_url: str, adopted_states_template: str) -> Iterator[Shop]:
    with new_database(postgres_url, template=adopted_states_template) as url, shop_at(url) as shop:
        yield shop


@pytest.fixture
def adopted_db(adopted_states: Shop) -> Iterator[Database]:
    database = Database(url_of(adopted_states.engine))
    yield database
    database.close()


def states(shop: Shop, number: int) -> set[tuple[str, str]]:
    rows = shop.row(
        "SELECT array_agg(DISTINCT current_step || ' ' || status) FROM jobs_variants WHERE job_id = :j", j=job(number)
    )
    return {tuple(row.split()) for row in rows[0]}


def states_of(shop: Shop, of_job: UUID) -> list[tuple[str, str]]:
    """In the order of the variants."""
    rows = shop.row(
        "SELECT array_agg(ARRAY[current_step, status] ORDER BY creation_order) FROM jobs_variants WHERE job_id = :j",
        j=of_job,
    )
    return [(step, status) for step, status in rows[0]]


def requested(db: Database) -> list[UUID]:
    return [variant.job_variants_id for variant in db.run_requests.request_startable("new_variants", [], most=100)]


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


def test_a_step_moves_only_where_no_variant_has_one_and_never_to_one_without_an_image(adopted_states: Shop) -> None:
    assert states_of(adopted_states, DONE) == [("iou_eval", "done"), ("img_gen", "done")]
    assert states_of(adopted_states, WITHOUT_STEPS) == [
        ("planner", "running"),
        ("planner", "running"),
        ("img_gen", "queued"),
    ]


def test_steps_of_others_stay_old_names_are_mapped_and_unknown_states_are_kept_aside(adopted_states: Shop) -> None:
    assert states_of(adopted_states, OF_TODAY) == [
        ("user_img_input", "done"),
        ("planner", "running"),
        ("yolo_detect", "done"),
        ("img_gen", "queued"),
        ("", "done"),
        ("img_gen", "paused"),
        ("magic", "done"),
        ("img_gen", "done"),
    ]
    unknown = adopted_states.table("SELECT current_step, status FROM unknown_variant_states")
    assert unknown == {"": "done", "img_gen": "paused", "magic": "done"}
    found = migrations.notes(url_of(adopted_states.engine))
    assert "unknown: 1 variants (magic, done)" in found


@pytest.mark.parametrize(
    ("written", "kept", "starts"),
    [
        (("user_img_input", "done"), ("user_img_input", "done"), False),
        (("gen_vlm_analyze", "queued"), ("gen_vlm_analyze", "queued"), False),
        (("ab_vote", "running"), ("ab_vote", "running"), False),
        (("vlm_planner", "done"), ("planner", "done"), True),
        ((" VLM_ANALYZE", "QUEUED"), ("vlm_analyze", "queued"), True),
        (("", "queued"), ("img_gen", "queued"), False),
        (("", "done"), ("", "done"), False),
        ((None, None), ("img_gen", "queued"), False),
        (("magic", "done"), ("magic", "done"), False),
        (("magic", "queued"), ("magic", "queued"), False),
        (("overlay", "paused"), ("overlay", "paused"), False),
    ],
)
def test_every_state_can_be_written_later_too(
    shop: Shop, db: Database, written: tuple[str | None, str | None], kept: tuple[str, str], starts: bool
) -> None:
    inserted = shop.variant(shop.job(), step=written[0], status=written[1])  # type: ignore[arg-type]
    updated = shop.variant(shop.job(), status="queued")
    shop.execute(
        "UPDATE jobs_variants SET current_step = :step, status = :status WHERE job_variants_id = :v",
        step=written[0],
        status=written[1],
        v=updated,
    )
    assert shop.state_of(inserted) == shop.state_of(updated) == kept
    assert set(requested(db)) == ({inserted, updated} if starts else set())
    assert db.maintenance.running_variants(older_than_s=0, most=9) == []


def test_retries_start_at_0_whatever_was_counted_before(adopted_states: Shop, shop: Shop) -> None:
    assert adopted_states.row("SELECT max(retry_count) FROM jobs_variants")[0] == 0
    shop.execute("INSERT INTO jobs (job_id) VALUES (:j)", j=job(1))
    shop.execute("INSERT INTO jobs_variants (job_id, creation_order, retry_count) VALUES (:j, 1, 20)", j=job(1))
    assert shop.row("SELECT retry_count FROM jobs_variants")[0] == 0


def test_old_work_is_held_as_it_was_and_todays_work_starts(adopted_states: Shop, adopted_db: Database) -> None:
    assert states_of(adopted_states, BACKLOG) == [
        ("img_gen", "done"),
        ("vlm_analyze", "queued"),
        ("planner", "running"),
    ]
    startable = adopted_states.row(
        "SELECT array_agg(job_variants_id) FROM jobs_variants"
        " WHERE job_id = :j AND (current_step, status) IN (('img_gen', 'done'), ('yolo_detect', 'done'))",
        j=OF_TODAY,
    )[0]
    assert set(requested(adopted_db)) == set(startable)
    running = adopted_db.maintenance.running_variants(older_than_s=0, most=100)
    # That of today, and those of the jobs in work without states of their own, which were made today as well.
    assert {variant.current_step for variant in running} == {"planner", "vlm_analyze"}
    assert adopted_db.maintenance.held_work() == 6
    assert "held: 1 variants (vlm_analyze, queued)" in migrations.notes(url_of(adopted_states.engine))


def test_jobs_with_nothing_but_old_work_are_not_settled(adopted_states: Shop, adopted_db: Database) -> None:
    assert adopted_db.maintenance.unsettled_jobs(most=100) == []
    assert adopted_states.job_state(UNSETTLED) == ("vlm_analyze", "running")


def test_whoever_writes_the_state_of_held_work_starts_it(adopted_states: Shop, adopted_db: Database) -> None:
    before = set(requested(adopted_db))
    adopted_states.execute(
        "UPDATE jobs_variants SET status = 'done' WHERE job_id = :j AND creation_order = 1", j=BACKLOG
    )
    assert len(set(requested(adopted_db)) - before) == 1
    assert adopted_db.maintenance.held_work() == 5


def test_released_work_starts_where_it_stood_and_running_work_begins_its_stage_again(
    adopted_states: Shop, adopted_db: Database
) -> None:
    adopted_states.execute("DELETE FROM jobs_variants WHERE job_id <> :j", j=BACKLOG)
    assert adopted_db.maintenance.release_old_work(most=2) == (2, 1)
    assert adopted_db.maintenance.release_old_work(most=2) == (1, 0)
    assert states_of(adopted_states, BACKLOG) == [
        ("img_gen", "done"),
        ("vlm_analyze", "queued"),
        ("yolo_detect", "done"),
    ]
    assert adopted_db.run_requests.any_startable()
    assert len(requested(adopted_db)) == 3


def test_new_work_goes_before_released_work(shop: Shop, db: Database) -> None:
    shop.execute("ALTER TABLE jobs_variants DISABLE TRIGGER accept_variant_state")
    shop.execute("INSERT INTO jobs (job_id) SELECT gen_random_uuid() FROM generate_series(1, 50)")
    shop.execute(
        "INSERT INTO jobs_variants (job_id, creation_order, current_step, status, state_revision, old_work)"
        " SELECT job_id, 1, 'img_gen', 'done', 0, 'held' FROM jobs"
    )
    shop.execute("ALTER TABLE jobs_variants ENABLE TRIGGER accept_variant_state")
    assert not db.run_requests.any_startable()
    db.maintenance.release_old_work(most=50)
    first = requested(db)
    assert len(first) == 6
    new = [shop.variant(shop.job()) for _ in range(3)]
    in_flight = first[:4]
    assert {
        each.job_variants_id for each in db.run_requests.request_startable("new_variants", in_flight, most=100)
    } >= {*new}
    # Four have a run, five wait for one: no more old work is taken up.
    assert shop.row("SELECT count(*) FROM jobs_variants WHERE old_work = 'released'")[0] == 44


def test_a_variant_of_a_released_job_can_be_chosen(adopted_states: Shop) -> None:
    released = adopted_states.row("SELECT release_old_work(of_job => :j)", j=DONE)[0]
    assert released == 1
    assert adopted_states.row("SELECT count(*) FROM jobs_variants WHERE old_work = 'released'")[0] == 1


def test_with_0_days_everything_is_held(old_states: Shop) -> None:
    migrations.migrate(url_of(old_states.engine), adopt_start_days=0)
    assert old_states.row("SELECT count(*) FROM jobs_variants WHERE old_work IS DISTINCT FROM 'held'")[0] == 0


def test_every_attributable_result_names_its_variant_and_none_is_current(adopted: Shop) -> None:
    for table in ("detections", "yolo_runs", "planner_proposals", "evaluations"):
        assert adopted.row(f"SELECT count(*) FROM {table} WHERE job_variants_id IS NULL")[0] == 0, table
    for table in ("vlm_traces", "yolo_runs", "planner_proposals", "overlay_layouts", "evaluations"):
        assert adopted.row(f"SELECT count(*) FROM {table} WHERE is_current")[0] == 0, table


def test_a_new_result_stands_beside_those_of_the_predecessor(adopted: Shop) -> None:
    [variant] = adopted.row(
        "UPDATE jobs_variants SET current_step = 'img_gen', status = 'done'"
        " WHERE (job_id, creation_order) = (:j, 1) RETURNING job_variants_id",
        j=job(4),
    )
    before = adopted.row("SELECT count(*), count(*) FILTER (WHERE is_current) FROM evaluations")
    db = Database(url_of(adopted.engine))
    work_through(db, variant, "run")
    db.close()
    after = adopted.row("SELECT count(*), count(*) FILTER (WHERE is_current) FROM evaluations")
    assert (after[0] - before[0], after[1] - before[1]) == (4, 4)


def test_three_variants_of_a_job_can_have_a_detection_run_each(adopted: Shop) -> None:
    adopted.execute("DELETE FROM yolo_runs")
    adopted.execute("INSERT INTO yolo_runs (job_id, job_variants_id) SELECT job_id, job_variants_id FROM jobs_variants")
    runs = adopted.table("SELECT job_id, count(DISTINCT job_variants_id) FROM yolo_runs GROUP BY job_id")
    assert runs == {job(number): 3 for number in range(1, 6)}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO vlm_traces (job_id, job_variants_id, operation_type, response) VALUES (:j, :v, 'analyze', '{}')",
        "INSERT INTO yolo_runs (job_id, job_variants_id, detection_count) VALUES (:j, :v, 1)",
        "INSERT INTO yolo_runs (job_id, detection_count) VALUES (:j, 1)",
        "INSERT INTO planner_proposals (job_variants_id, layout) VALUES (:v, '{}')",
        "INSERT INTO overlay_layouts (job_variants_id, layout) VALUES (:v, '{}')",
        "INSERT INTO evaluations (job_id, job_variants_id, evaluation_type) VALUES (:j, :v, 'ocr')",
    ],
)
def test_results_of_other_writers_neither_collide_with_ours_nor_replace_them(
    shop: Shop, db: Database, statement: str
) -> None:
    of_job = shop.job()
    variant = shop.variant(of_job)
    work_through(db, variant, "run")
    db.claims.complete(variant)
    results = "SELECT array_agg(r.*::text ORDER BY stage) FROM variant_results r"
    before = shop.row(results)[0]
    for _ in range(2):
        shop.execute(statement + " RETURNING cast(:j AS text), cast(:v AS text)", j=of_job, v=variant)
    assert shop.row(results)[0] == before
    work_through(db, variant, "run 2")


def test_only_the_triggers_of_the_predecessor_go_and_each_is_recorded(adopted: Shop) -> None:
    names = set(adopted.row("SELECT array_agg(tgname::text ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal")[0])
    gone = {"job_state_change_trigger", "job_variant_state_change_trigger", "check_all_variants_done_trigger"}
    assert not gone & names
    assert {"ye_counts", "ye_touch_job"} <= names
    recorded = "\n".join(migrations.notes(url_of(adopted.engine)))
    assert all(f"dropped: CREATE TRIGGER {name} " in recorded for name in gone)
    assert "dropped: constraint yolo_runs_job_id_key UNIQUE (job_id) of yolo_runs" in recorded


def test_an_insert_that_names_no_state_means_what_it_meant_before(
    adopted: Shop, adopted_states: Shop, adopted_db: Database
) -> None:
    insert = "INSERT INTO jobs_variants (job_id, img_asset_id, creation_order)"
    insert += " SELECT :j, image_asset_id, 9 FROM image_assets LIMIT 1"
    adopted.execute(insert, j=job(1))
    assert ("img_gen", "queued") in states(adopted, 1)
    before = set(requested(adopted_db))
    adopted_states.execute(insert, j=job(1))
    assert ("vlm_analyze", "queued") in states(adopted_states, 1)
    assert len(set(requested(adopted_db)) - before) == 1


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


def test_the_plan_says_what_becomes_of_every_state_and_changes_nothing(
    old_states: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = url_of(old_states.engine)
    monkeypatch.setenv("DATABASE_URL", url)
    before = old_states.row("SELECT array_agg(v.*::text ORDER BY pk) FROM jobs_variants v")
    assert migrations.main(["--plan"]) == 0
    said = capsys.readouterr().out
    for line in (
        "2 × (img_gen, done): held",
        "1 × (img_gen, done): starts",
        "2 × (no step, queued) → (planner, running): held",
        "1 × (planner, running): held",
        "1 × (vlm_planner, running) → (planner, running): starts",
        "1 × (user_img_input, done): stays",
        "1 × (magic, done): unknown, kept aside",
        "dropped: CREATE TRIGGER check_all_variants_done_trigger",
    ):
        assert line in said, said
    assert old_states.row("SELECT array_agg(v.*::text ORDER BY pk) FROM jobs_variants v") == before
    # What was said is what happens.
    migrations.migrate(url)
    starts = sum(int(line.split()[0]) for line in said.splitlines() if line.endswith(": starts"))
    held = sum(int(line.split()[0]) for line in said.splitlines() if line.endswith(": held"))
    at_work = "is_startable(current_step, status) OR is_at_work(current_step, status)"
    assert (starts, held) == old_states.row(
        "SELECT count(*) FILTER (WHERE old_work IS NULL), count(*) FILTER (WHERE old_work = 'held')"
        f" FROM jobs_variants WHERE {at_work}"
    )[:2]
    assert migrations.main(["--plan"]) == 0
    assert "the database is up to date" in capsys.readouterr().out


def test_an_operator_releases_by_command(
    adopted_states: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", url_of(adopted_states.engine))
    assert release.main(["2"]) == 0
    assert capsys.readouterr().out == "released 2 variants; 4 are still held. New variants go first.\n"
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/x")
    assert release.main(["2"]) == 1
    assert capsys.readouterr().err.startswith("cannot release in postgresql")


def test_a_migration_that_was_ended_between_two_steps_goes_on(
    old_states: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(old_states.engine)
    broken = read(files()[1])
    half = MigrationFile(broken.number, broken.name, (*broken.steps[:4], Step("x", "SELECT 1 / 0")))
    whole = read
    monkeypatch.setattr(migrations, "read", lambda path: half if "0002" in path.name else whole(path))
    with pytest.raises(MigrationRefused, match=r"0002.* step 5 of 5 .x. failed: division by zero"):
        migrations.migrate(url)
    assert old_states.row("SELECT steps_done FROM job_variants_migrations WHERE number = 2")[0] == 4
    monkeypatch.setattr(migrations, "read", whole)
    assert migrations.migrate(url)[0] == "0002_variant_state.sql"
    assert states_of(old_states, DONE) == [("iou_eval", "done"), ("img_gen", "done")]
    assert old_states.row("SELECT count(*) FROM jobs_variants WHERE old_work = 'held'")[0] > 5


def test_an_index_that_was_being_built_when_a_migrator_was_ended_is_built_anew(old: Shop) -> None:
    old.execute("CREATE INDEX idx_jobs_variants_status ON jobs_variants (job_id)")
    old.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_jobs_variants_status'::regclass")
    migrations.migrate(url_of(old.engine))
    found = old.row("SELECT indexdef FROM pg_indexes WHERE indexname = 'idx_jobs_variants_status'")[0]
    assert found.endswith("jobs_variants USING btree (status)")
    assert old.row("SELECT count(*) FROM pg_index WHERE NOT indisvalid")[0] == 0
