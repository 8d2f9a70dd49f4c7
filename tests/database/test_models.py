"""The SQLAlchemy models are the schema, and other teams can work with them."""

import re
import subprocess
import sys
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Engine, select
from sqlalchemy.orm import Session

from resources.postgres.database import Database
from resources.postgres.models import Base, ImageAsset, Job, JobInput, JobVariant, Tenant
from resources.settings import PROJECT
from testing.shop import Shop, work_through

# Tables of this project alone, which no other team reads.
NOT_SHARED = {"variant_requests", "unsettled_jobs", "parallel_order", "service_lease", "job_variants_migrations"}


def differences(engine: Engine) -> list[Any]:
    """What Alembic would change in the database to make it what the models say."""
    options = {
        "compare_type": True,
        "compare_server_default": defaults_differ,
        "include_name": lambda name, kind, _: kind != "table" or name not in NOT_SHARED,
    }
    with engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))


def defaults_differ(
    _context: MigrationContext,
    _inspected: Column[Any],
    _modelled: Column[Any],
    default: str | None,
    _arg: object,
    rendered: str | None,
) -> bool:
    """As texts without casts: Alembic would evaluate both and compare two random ids, or two numbers of a sequence."""
    return _without_casts(default) != _without_casts(rendered)


def _without_casts(default: str | None) -> str | None:
    return None if default is None else re.sub(r"::[a-z ]+", "", default).strip("'")


def test_the_models_are_the_migrated_schema(engine: Engine) -> None:
    assert differences(engine) == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE jobs_variants ADD extra int",
        "ALTER TABLE jobs_variants DROP verdict",
        "ALTER TABLE jobs_variants ALTER status SET DEFAULT 'done'",
        "ALTER TABLE jobs_variants ALTER retry_count DROP DEFAULT",
        "ALTER TABLE jobs_variants ALTER error TYPE varchar(10)",
        "ALTER TABLE jobs_variants ALTER status DROP NOT NULL",
        "ALTER TABLE detections ALTER score TYPE numeric(6, 4)",
        "ALTER TABLE overlay_layouts DROP CONSTRAINT overlay_layouts_job_variants_id_fkey",
        "DROP INDEX one_current_evaluation",
        "CREATE TABLE extra (id int)",
    ],
)
def test_a_difference_would_be_found(engine: Engine, change: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(change)
    assert differences(engine) != []


def test_the_models_are_imported_without_dagster_and_without_a_driver() -> None:
    code = "import sys, resources.postgres.models; print({'dagster', 'psycopg2', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_other_teams_order_generate_and_hand_over_with_the_models(db: Database, engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        image = ImageAsset(image_url="/assets/ye/a.png")
        job = Job(variants=[JobVariant(creation_order=1, image=image)], status="running", current_step="img_gen")
        session.add_all([Tenant(tenant_id="cafe"), job])
        session.flush()
        session.add(JobInput(job_id=job.job_id, desc_kor="커피 한 잔"))
        variant = job.variants[0]
        assert (variant.current_step, variant.status, variant.selected) == ("img_gen", "queued", False)
        first = variant.state_revision
        variant.status = "done"
        session.flush()
        assert variant.state_revision > first
        job.current_step = "vlm_analyze"
    [waiting] = db.run_requests.request_startable("new_variants", [], most=9)
    work_through(db, waiting.job_variants_id, "run")
    db.claims.complete(waiting.job_variants_id)
    with Session(engine) as session:
        done = session.scalars(select(Job)).one()
        assert (done.status, done.current_step) == ("done", "iou_eval")
        assert [each.status for each in done.variants] == ["done"]
        assert done.variants[0].finished_ad is not None


def test_a_deleted_job_takes_its_variants_along(shop: Shop, engine: Engine) -> None:
    shop.variant(shop.job())
    with Session(engine) as session, session.begin():
        session.delete(session.scalars(select(Job)).one())
    assert shop.row("SELECT count(*) FROM jobs_variants")[0] == 0
