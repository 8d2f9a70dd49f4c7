"""Other teams write with roles of their own, which own nothing, from sessions with any search_path."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import NullPool

from resources.postgres import migrations
from resources.postgres.adoption import MigrationRefused
from resources.postgres.database import Database
from testing.databases import new_database
from testing.shop import Shop, work_through

WRITES = "SELECT, INSERT, UPDATE, DELETE"


@pytest.fixture
def login(postgres_url: str) -> Iterator[str]:
    """A role with its own name as password. It is dropped after the databases in which it has rights."""
    name = f"role_{uuid4().hex[:8]}"
    admin = create_engine(postgres_url, poolclass=NullPool)
    with admin.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'"))
    yield name
    with admin.begin() as connection:
        connection.execute(text(f"DROP ROLE {name}"))


def url_as(url: str, name: str) -> str:
    return make_url(url).set(username=name, password=name).render_as_string(hide_password=False)


@contextmanager
def shop_as(url: str, name: str, search_path: str = "") -> Iterator[Shop]:
    engine = create_engine(url_as(url, name), poolclass=NullPool)
    if search_path:

        @event.listens_for(engine, "connect")
        def _set(connection: DBAPIConnection, _record: object) -> None:
            connection.cursor().execute(f"SET search_path TO {search_path}")
            connection.commit()

    yield Shop(engine)
    engine.dispose()


@pytest.fixture(scope="module", params=["public", "Shop"])
def schema(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def as_owner(url: str, schema: str) -> str:
    options = f'-csearch_path="{schema}"'
    return make_url(url).update_query_dict({"options": options}).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def template(postgres_url: str, schema: str) -> Iterator[str]:
    """The name of a database that was migrated in that schema."""
    with new_database(postgres_url) as url:
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        migrations.migrate(as_owner(url, schema))
        yield str(make_url(url).database)


@pytest.fixture
def service(postgres_url: str, schema: str, template: str, login: str) -> Iterator[tuple[str, Engine]]:
    """The URL of a database of the test's own, migrated in that schema, and an engine of its owner."""
    with new_database(postgres_url, template=template) as url:
        engine = create_engine(as_owner(url, schema), poolclass=NullPool)
        yield url, engine
        engine.dispose()


def grant(engine: Engine, schema: str, name: str) -> None:
    """What roles of other teams had before this project: rights on the tables, and on the numbers of `pk`."""
    with engine.begin() as connection:
        connection.execute(text(f'GRANT USAGE ON SCHEMA "{schema}" TO {name}'))
        for table in ("tenants", "image_assets", "jobs", "job_inputs", "jobs_variants", "vlm_traces"):
            connection.execute(text(f'GRANT {WRITES} ON "{schema}".{table} TO {name}'))
            connection.execute(text(f'GRANT USAGE ON SEQUENCE "{schema}".{table}_pk_seq TO {name}'))


@pytest.mark.parametrize("search_path", ["", "pg_catalog"])
def test_a_role_with_rights_on_the_tables_alone_writes_every_state(
    service: tuple[str, Engine], schema: str, login: str, search_path: str
) -> None:
    url, owner = service
    grant(owner, schema, login)
    with shop_as(url, login, search_path or f'"{schema}"') as shop:
        table = f'"{schema}".jobs_variants'
        [job] = shop.row(
            f'INSERT INTO "{schema}".jobs (current_step, status) VALUES (:s, :r) RETURNING job_id',
            s="vlm_analyze",
            r="running",
        )
        [variant] = shop.row(
            f"INSERT INTO {table} (job_id, creation_order) VALUES (:j, 1) RETURNING job_variants_id", j=job
        )
        for state in (("user_img_input", "done"), ("img_gen", "done"), ("vlm_planner", "failed")):
            shop.execute(
                f"UPDATE {table} SET current_step = :s, status = :t WHERE job_variants_id = :v",
                s=state[0],
                t=state[1],
                v=variant,
            )
        row = shop.row(f"SELECT current_step, status, state_revision FROM {table}")
        assert (row[0], row[1]) == ("planner", "failed")
        assert row[2] == 4
        # The trigger has settled the job, on which this role needs no right for that.
        assert shop.row(f'SELECT status FROM "{schema}".jobs')[0] == "failed"
        shop.execute(f'UPDATE "{schema}".jobs SET status = :r WHERE job_id = :j', r="running", j=job)
        shop.execute(f"DELETE FROM {table}")
        shop.execute(f'DELETE FROM "{schema}".jobs')


def test_a_role_that_may_not_touch_jobs_fails_and_completes_variants(
    service: tuple[str, Engine], schema: str, login: str
) -> None:
    url, owner = service
    mine = Shop(owner)
    job, other = mine.job(), mine.job()
    variant, second = mine.variant(job), mine.variant(other)
    db = Database(owner.url.render_as_string(hide_password=False))
    work_through(db, second, "run")
    with owner.begin() as connection:
        connection.execute(text(f'GRANT USAGE ON SCHEMA "{schema}" TO {login}'))
        connection.execute(text(f'GRANT SELECT, UPDATE ON "{schema}".jobs_variants TO {login}'))
    with shop_as(url, login) as shop:
        table = f'"{schema}".jobs_variants'
        shop.execute(f"UPDATE {table} SET status = 'failed' WHERE job_variants_id = :v", v=variant)
    db.claims.complete(second)
    db.close()
    assert (mine.job_state(job)[1], mine.job_state(other)[1]) == ("failed", "done")


def test_a_temporary_table_of_a_writer_does_not_stand_before_ours(
    service: tuple[str, Engine], schema: str, login: str
) -> None:
    url, owner = service
    mine = Shop(owner)
    variant = mine.variant(job := mine.job())
    grant(owner, schema, login)
    with create_engine(url_as(url, login), poolclass=NullPool).begin() as connection:
        connection.execute(text(f'CREATE TEMPORARY TABLE jobs AS SELECT * FROM "{schema}".jobs'))
        connection.execute(
            text(f"UPDATE \"{schema}\".jobs_variants SET status = 'failed' WHERE job_variants_id = :v"), {"v": variant}
        )
    assert mine.job_state(job)[1] == "failed"


def test_the_tables_of_others_are_found_beside_a_schema_named_like_the_role(postgres_url: str, login: str) -> None:
    with new_database(postgres_url) as url:
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {login} AUTHORIZATION {login}"))
            connection.execute(text(f"GRANT CREATE, USAGE ON SCHEMA public TO {login}"))
        with shop_as(url, login) as shop:
            shop.execute(
                "CREATE TABLE public.jobs (job_id uuid PRIMARY KEY, tenant_id varchar, current_step varchar,"
                " status varchar, pk serial, updated_at timestamptz)"
            )
            shop.execute(
                "CREATE TABLE public.jobs_variants (job_variants_id uuid PRIMARY KEY, job_id uuid, img_asset_id uuid,"
                " creation_order int)"
            )
            shop.execute("INSERT INTO public.jobs_variants VALUES (:v, NULL, NULL, 1)", v=UUID(int=1))
            migrations.migrate(url_as(url, login))
            assert shop.row(f"SELECT count(*) FROM pg_tables WHERE schemaname = '{login}'")[0] == 0
            assert shop.row("SELECT current_step, status FROM public.jobs_variants")[:2] == ("img_gen", "queued")
            # Tables that an earlier version has left in the role's own schema are not taken for the real ones.
            shop.execute(f"CREATE TABLE {login}.jobs_variants (LIKE public.jobs_variants)")
            with pytest.raises(MigrationRefused, match=f"exists in the schemas {login}, public"):
                migrations.migrate(url_as(url, login))


OLD = (
    "CREATE TABLE jobs (job_id uuid PRIMARY KEY, current_step varchar, status varchar);"
    "CREATE TABLE jobs_variants (job_variants_id uuid PRIMARY KEY, job_id uuid, status {type})"
)


@pytest.mark.parametrize(
    ("before", "as_role", "message"),
    [
        (OLD.format(type="varchar"), True, "the tables jobs, jobs_variants belong to .*GRANT"),
        ("SELECT 1", True, "may not create tables in schema public; GRANT CREATE"),
        (
            "CREATE TYPE state AS ENUM ('queued', 'done');" + OLD.format(type="state"),
            False,
            r"jobs_variants\.status \(state\).*\nALTER TABLE jobs_variants ALTER status TYPE varchar;",
        ),
    ],
)
def test_each_obstacle_is_one_clear_message(
    postgres_url: str,
    login: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    as_role: bool,
    message: str,
) -> None:
    with new_database(postgres_url) as url:
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.exec_driver_sql(before)
            if "jobs" in before:
                connection.exec_driver_sql(f"GRANT CREATE ON SCHEMA public TO {login}")
        monkeypatch.setenv("DATABASE_URL", url_as(url, login) if as_role else url)
        assert migrations.main([]) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert re.search(message, error)


def test_a_server_that_is_too_old_is_refused(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.postgres.adoption.LEAST_POSTGRES", 99)
    with new_database(postgres_url) as url, pytest.raises(MigrationRefused, match="99 or newer is needed"):
        migrations.migrate(url)


def test_a_role_without_rights_to_create_finds_a_current_schema_up_to_date(login: str, database_url: str) -> None:
    with create_engine(database_url, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql(f"GRANT SELECT ON job_variants_migrations TO {login}")
    assert migrations.migrate(url_as(database_url, login)) == []
