"""The server that Debian has is the oldest one that is promised; all other tests run on the embedded one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from resources.postgres.adoption import LEAST_POSTGRES
from resources.postgres.database import Database
from resources.postgres.migrations import migrate
from service import postgres
from testing.databases import new_database, run_script
from testing.shop import Shop, work_through


@pytest.fixture
def debian_url(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "Debian's PostgreSQL is not installed; `make test` installs it"
    monkeypatch.setattr(postgres, "_binaries", lambda: found[0].parent)
    folder = tmp_path_factory.mktemp("debian") / "postgres"
    yield postgres.start(folder, durable=False).url
    postgres.stop(folder)


def test_debians_server_adopts_an_old_database_and_completes_a_job(debian_url: str) -> None:
    with new_database(debian_url) as url:
        run_script(url, "old_database.sql")
        run_script(url, "old_states.sql")
        migrate(url)
        assert migrate(url) == []
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            version = connection.scalar(text("SELECT current_setting('server_version_num')::int / 10000"))
        assert version is not None
        assert version >= LEAST_POSTGRES
        shop, db = Shop(engine), Database(url)
        variant = shop.variant(job := shop.job())
        waiting = db.run_requests.request_startable("new_variants", [], most=100)
        assert variant in {each.job_variants_id for each in waiting}
        work_through(db, variant, "run")
        db.claims.complete(variant)
        assert shop.job_state(job) == ("iou_eval", "done")
        db.close()
        engine.dispose()
