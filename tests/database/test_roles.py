"""With the rights of sql/roles.sql every role can do what the contract says, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from orchestration.removal import remove_runs
from orchestration.storage import pooled_engine
from resources.postgres.database import Database
from resources.postgres.queries import SQL_FOLDER, load, named
from resources.settings import Settings
from service.dagster_tables import make_tables
from service.database import prepare_database
from testing.forking.runs import instance_on
from testing.shop import Shop, work_through

PASSWORD = "only-in-tests"
LOGINS = ("variants_service", "js", "ye")


def run_file(engine: Engine, name: str) -> None:
    with engine.begin() as connection:
        connection.execution_options(no_parameters=True).exec_driver_sql((SQL_FOLDER / name).read_text())


def url_of(login: str, database_url: str) -> str:
    return make_url(database_url).set(username=login, password=PASSWORD).render_as_string(hide_password=False)


@pytest.fixture
def logins(engine: Engine, database_url: str) -> Iterator[None]:
    """The roles, with the rights of the file; the tables belong to somebody else."""
    make_tables(Settings(database_url=database_url))
    with engine.begin() as connection:
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        for login in LOGINS:
            connection.execute(text(f"CREATE ROLE {login} LOGIN PASSWORD '{PASSWORD}'"))
    run_file(engine, "roles.sql")
    yield
    with engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {', '.join(LOGINS)}"))
        connection.execute(text(f"DROP ROLE {', '.join(LOGINS)}"))


@pytest.fixture
def service(logins: None, database_url: str) -> Iterator[Database]:
    database = Database(url_of("variants_service", database_url))
    yield database
    database.close()


def do(login: str, database_url: str, statement: str, **parameters: Any) -> None:
    engine = create_engine(url_of(login, database_url), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(statement), parameters)
    engine.dispose()


@pytest.mark.usefixtures("logins")
def test_the_file_can_be_run_again(engine: Engine) -> None:
    run_file(engine, "roles.sql")


def test_the_service_takes_a_variant_from_its_image_to_the_end_and_deletes_the_job(
    shop: Shop, service: Database
) -> None:
    job = shop.job()
    variant = shop.variant(job)
    [requested] = service.run_requests.request_startable("sensor", [], 10)
    assert requested.job_variants_id == variant
    work_through(service, variant, "run")
    assert service.claims.complete(variant).job_status == "done"
    service.maintenance.order_parallel(2)
    assert service.maintenance.delete_job(job) is not None
    assert shop.row("SELECT count(*) FROM jobs") == (0,)


def test_the_service_may_run_every_query(service: Database) -> None:
    with service.engine.connect() as connection:
        for name in load(SQL_FOLDER / "queries.sql"):
            statement = named(name)
            numbers = {parameter: f"${number}" for number, parameter in enumerate(statement.compile().params, start=1)}
            numbered = re.sub(r"(?<!:):(\w+)", lambda found: numbers[found[1]], str(statement))  # noqa: B023
            given = f"({', '.join(['NULL'] * len(numbers))})" if numbers else ""
            plain = connection.execution_options(no_parameters=True)
            plain.exec_driver_sql(f"PREPARE {name} AS {numbered}")
            # Rights are checked here too, and nothing is executed.
            plain.exec_driver_sql(f"EXPLAIN EXECUTE {name}{given}")


@pytest.mark.usefixtures("logins")
def test_where_the_schema_is_current_the_service_starts_without_the_right_to_create(
    database_url: str, tmp_path: Path
) -> None:
    settings = Settings(database_url=url_of("variants_service", database_url))
    assert prepare_database(settings.require_database_url()) == []
    make_tables(settings)
    with instance_on("pooled", settings.dagster_url, tmp_path) as instance:
        instance.add_dynamic_partitions("variants", ["a"])
        assert dg.materialize([one], instance=instance).success
        remove_runs(instance, instance.get_run_ids())
        assert instance.get_run_ids() == []
    pooled_engine(settings.dagster_url).dispose()


@dg.asset
def one() -> None: ...


NOT_ALLOWED = {
    "variants_service": [
        "CREATE TABLE mine ()",
        "INSERT INTO jobs (status) VALUES ('queued')",
        "UPDATE jobs SET tenant_id = NULL",
        "DELETE FROM jobs",
        "UPDATE jobs_variants SET img_asset_id = NULL",
        "UPDATE job_inputs SET desc_kor = 'x'",
        "UPDATE image_assets SET tenant_id = 'x'",
        "TRUNCATE detections",
    ],
    "js": [
        "CREATE TABLE mine ()",
        "UPDATE jobs_variants SET claimed_by = 'run'",
        "UPDATE jobs_variants SET verdict = NULL",
        "UPDATE jobs_variants SET img_asset_id = NULL",
        "DELETE FROM jobs",
        "DELETE FROM evaluations",
        "SELECT delete_job(gen_random_uuid())",
        "SELECT * FROM variant_requests",
        "SELECT * FROM dagster.runs",
        "LOCK TABLE dagster.alembic_version IN SHARE ROW EXCLUSIVE MODE",
    ],
    "ye": [
        "INSERT INTO jobs_variants (job_id, creation_order, claimed_by) VALUES (gen_random_uuid(), 1, 'run')",
        "UPDATE jobs_variants SET error = 'x'",
        "UPDATE jobs_variants SET state_revision = 1",
        "UPDATE vlm_traces SET response = NULL",
        "SELECT delete_job(gen_random_uuid())",
        "SELECT * FROM dagster.runs",
        "LOCK TABLE dagster.alembic_version IN ACCESS SHARE MODE",
    ],
}


@pytest.mark.usefixtures("logins")
@pytest.mark.parametrize("login", LOGINS)
def test_what_is_not_the_login_s_is_refused(login: str, database_url: str) -> None:
    for statement in NOT_ALLOWED[login]:
        with pytest.raises(ProgrammingError, match="permission denied"):
            do(login, database_url, statement)


@pytest.mark.usefixtures("logins")
def test_js_and_ye_write_what_the_contract_says(shop: Shop, database_url: str) -> None:
    shop.add_tenant("cafe")
    job, image = uuid4(), uuid4()
    do("js", database_url, "INSERT INTO jobs (job_id, tenant_id, current_step) VALUES (:j, 'cafe', 'img_gen')", j=job)
    do("js", database_url, "INSERT INTO job_inputs (job_id, desc_kor) VALUES (:j, '라떼')", j=job)
    do("ye", database_url, "INSERT INTO image_assets (image_asset_id, image_url) VALUES (:i, '/assets/x.png')", i=image)
    do(
        *("ye", database_url, "INSERT INTO jobs_variants (job_id, img_asset_id, creation_order) VALUES (:j, :i, 1)"),
        j=job,
        i=image,
    )
    do("ye", database_url, "UPDATE jobs_variants SET current_step = 'img_gen', status = 'done'")
    do("ye", database_url, "UPDATE jobs SET current_step = 'vlm_analyze', status = 'running', updated_at = now()")
    do("js", database_url, "UPDATE jobs_variants SET current_step = 'planner', status = 'done', selected = true")
    do("ye", database_url, "UPDATE jobs_variants SET status = 'failed'")
    assert shop.job_state(job) == ("vlm_analyze", "failed")
