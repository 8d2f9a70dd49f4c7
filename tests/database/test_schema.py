"""One schema, two ways to build it; and what any SQL file must look like."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from resources.postgres import migrations
from resources.postgres.queries import SQL_FOLDER, load
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


def run(url: str, sql: str) -> list[tuple[str, ...]]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        result = connection.execution_options(no_parameters=True).exec_driver_sql(sql)
        return [tuple(row) for row in result] if result.returns_rows else []


def catalog(url: str) -> set[tuple[str, ...]]:
    return {row for row in run(url, CATALOG) if "job_variants_migrations" not in "".join(row)}


def test_schema_and_migrations_build_the_same_database(empty_url: str, database_url: str) -> None:
    run(empty_url, (SQL_FOLDER / "schema.sql").read_text())
    migrated, written = catalog(database_url), catalog(empty_url)
    assert migrated - written == set()
    assert written - migrated == set()


def test_migrating_again_changes_nothing(database_url: str) -> None:
    assert migrations.migrate(database_url) == []


def test_of_several_migrators_at_once_each_file_is_applied_by_one(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: migrations.migrate(empty_url), range(4)))
    assert sorted(name for names in applied for name in names) == [path.name for path in migrations.files()]


def test_a_broken_migration_leaves_nothing_behind(
    empty_url: str, tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = SQL_FOLDER / "migrations" / "0001_shared_tables.sql"
    path = tmp_path / "0001_broken.sql"  # type: ignore[operator]
    path.write_text(broken.read_text() + "\nSELECT 1 / 0;")
    monkeypatch.setattr(migrations, "files", lambda: [path])
    with pytest.raises(Exception, match="division by zero"):
        migrations.migrate(empty_url)
    assert run(empty_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


def test_every_query_has_a_line_of_purpose_and_is_one_statement() -> None:
    for name, statement in load(SQL_FOLDER / "queries.sql").items():
        assert re.match(r"-- [A-Z].+[.;:]\n|-- [A-Z].+\n-- .+\n", str(statement)), name
        assert ";" not in re.sub(r"--.*", "", str(statement)), name


def test_every_query_is_used() -> None:
    source = "".join(path.read_text() for path in SQL_FOLDER.parent.glob("resources/**/*.py"))
    assert [name for name in load(SQL_FOLDER / "queries.sql") if f'"{name}"' not in source] == []


def test_every_query_can_be_prepared_by_the_server(database_url: str) -> None:
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.begin() as connection:
        for name, statement in load(SQL_FOLDER / "queries.sql").items():
            numbered = re.sub(r"(?<!:):(\w+)", "NULL", re.sub(r"--.*", "", str(statement)))
            connection.execute(text("SAVEPOINT probe"))
            connection.execution_options(no_parameters=True).exec_driver_sql(f"EXPLAIN {numbered}")
            connection.execute(text("ROLLBACK TO probe")), name
