"""One schema, two ways to build it; and what any SQL file must look like."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from resources.postgres import migration_files, migrations
from resources.postgres.adoption import MigrationRefused
from resources.postgres.queries import SQL_FOLDER, load, named
from testing.databases import new_database

# Everything a schema consists of, one line each, in an order of its own.
CATALOG = """
    SELECT 'column', table_name || '.' || column_name,
           concat_ws(' ', data_type, numeric_precision, numeric_scale, is_nullable, column_default)
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    UNION ALL
    SELECT 'index', tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'function', proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'view', viewname, definition FROM pg_views WHERE schemaname = 'public'
    UNION ALL
    SELECT 'sequence', sequencename, data_type::text FROM pg_sequences WHERE schemaname = 'public'
"""


@pytest.fixture
def empty_url(postgres_url: str) -> Iterator[str]:
    with new_database(postgres_url) as url:
        yield url


def run(url: str, sql: str) -> list[tuple[Any, ...]]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        result = connection.execution_options(no_parameters=True).exec_driver_sql(sql)
        return [tuple(row) for row in result] if result.returns_rows else []


def catalog(url: str) -> set[tuple[Any, ...]]:
    return {row for row in run(url, CATALOG) if "job_variants_migrations" not in "".join(row)}


def test_schema_and_migrations_build_the_same_database(empty_url: str, database_url: str) -> None:
    run(empty_url, (SQL_FOLDER / "schema.sql").read_text())
    migrated, written = catalog(database_url), catalog(empty_url)
    assert migrated - written == set()
    assert written - migrated == set()


def test_migrating_again_changes_nothing(database_url: str) -> None:
    assert migrations.migrate(database_url) == []


def test_a_database_of_the_version_before_the_last_keeps_its_rows(
    empty_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = migration_files.files()
    monkeypatch.setattr(migrations, "files", lambda: everything[:6])
    migrations.migrate(empty_url)
    run(empty_url, "INSERT INTO jobs (current_step, status) VALUES ('vlm_analyze', 'running')")
    run(
        empty_url,
        "INSERT INTO jobs_variants (job_id, creation_order, current_step, status)"
        " SELECT job_id, n, step, 'done' FROM jobs,"
        " unnest(ARRAY['img_gen', 'overlay', 'iou_eval']) WITH ORDINALITY AS steps (step, n)",
    )
    run(empty_url, "INSERT INTO variant_requests SELECT job_variants_id, state_revision, 'a' FROM jobs_variants")
    before = run(empty_url, "SELECT * FROM jobs_variants ORDER BY creation_order")
    monkeypatch.setattr(migrations, "files", lambda: everything)
    migrations.migrate(empty_url)
    assert run(empty_url, "SELECT * FROM jobs_variants ORDER BY creation_order") == before
    assert run(empty_url, "SELECT requested_by FROM variant_requests") == [("a",)] * 3
    assert catalog(empty_url) == catalog(database_url)


def test_a_database_of_version_0_2_0_becomes_the_same_as_a_new_one(empty_url: str, database_url: str) -> None:
    run(empty_url, Path(__file__).with_name("schema_0_2_0.sql").read_text())
    run(
        empty_url,
        "CREATE TABLE job_variants_migrations"
        " (number int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());"
        "INSERT INTO job_variants_migrations SELECT n, n || '.sql' FROM generate_series(1, 7) n;"
        "INSERT INTO jobs (current_step, status) VALUES ('vlm_analyze', 'running');"
        "INSERT INTO jobs_variants (job_id, creation_order, current_step, status, retry_count)"
        " SELECT job_id, 1, 'planner', 'done', 1 FROM jobs;"
        "INSERT INTO evaluations (job_variants_id, evaluation_type, revision)"
        " SELECT job_variants_id, t, r FROM jobs_variants, (VALUES ('ocr', NULL::bigint), ('iou', 7)) AS e (t, r);",
    )
    kept = "SELECT current_step, status, retry_count, state_revision FROM jobs_variants"
    before = run(empty_url, kept)
    migrations.migrate(empty_url, adopt_start_days=0)
    assert run(empty_url, kept) == before
    # Its work goes on: only what was there before this project is held.
    assert run(empty_url, "SELECT old_work FROM jobs_variants") == [(None,)]
    # What it has adopted from the predecessor is no longer replaced in place.
    rows = run(empty_url, "SELECT evaluation_type, is_current FROM evaluations ORDER BY evaluation_type")
    assert rows == [("iou", True), ("ocr", False)]
    assert catalog(empty_url) == catalog(database_url)


def test_of_several_migrators_at_once_each_file_is_applied_by_one(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: migrations.migrate(empty_url), range(4)))
    assert sorted(name for names in applied for name in names) == [path.name for path in migration_files.files()]


def test_a_broken_migration_leaves_nothing_behind(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = SQL_FOLDER / "migrations" / "0001_shared_tables.sql"
    path = tmp_path / "0001_broken.sql"
    path.write_text(broken.read_text() + "\nSELECT 1 / 0;")
    monkeypatch.setattr(migrations, "files", lambda: [path])
    with pytest.raises(MigrationRefused, match="division by zero"):
        migrations.migrate(empty_url)
    tables = run(empty_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert tables == [("job_variants_migrations",)]
    assert run(empty_url, "SELECT * FROM job_variants_migrations") == []


def test_every_query_has_a_line_of_purpose_and_is_one_statement() -> None:
    for name, statement in load(SQL_FOLDER / "queries.sql").items():
        assert re.match(r"-- [A-Z].+[.;:]\n|-- [A-Z].+\n-- .+\n", str(statement)), name
        assert ";" not in re.sub(r"--.*", "", str(statement)), name


def test_every_query_is_used() -> None:
    source = "".join(path.read_text() for path in SQL_FOLDER.parent.glob("resources/**/*.py"))
    assert [name for name in load(SQL_FOLDER / "queries.sql") if f'"{name}"' not in source] == []


@pytest.mark.parametrize("name", load(SQL_FOLDER / "queries.sql"))
def test_the_server_can_prepare_every_query(database_url: str, name: str) -> None:
    statement = named(name)
    numbers = {parameter: f"${number}" for number, parameter in enumerate(statement.compile().params, start=1)}
    numbered = re.sub(r"(?<!:):(\w+)", lambda found: numbers[found[1]], str(statement))
    run(database_url, f"PREPARE probe AS {numbered}")


def test_a_query_that_does_not_fit_the_schema_cannot_be_prepared(database_url: str) -> None:
    with pytest.raises(ProgrammingError, match="no_such_column"):
        run(database_url, "PREPARE probe AS SELECT no_such_column FROM jobs_variants")
