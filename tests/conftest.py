from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.pool import NullPool

from resources.postgres.database import Database
from resources.postgres.migrations import migrate
from resources.settings import Settings, StateSettings
from service import postgres
from testing.databases import new_database
from testing.studio import Studio

if TYPE_CHECKING:
    from testing.pipeline import Pipeline


@pytest.fixture(scope="session", autouse=True)
def no_env_file() -> None:
    """No test depends on the `.env` file of whoever runs it."""
    for settings in (StateSettings, Settings):
        settings.model_config["env_file"] = None


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the `.env` file that is read in this test, once the test has written it."""
    path = tmp_path / ".env"
    for settings in (StateSettings, Settings):
        monkeypatch.setitem(settings.model_config, "env_file", path)
    return path


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of this test run's own, as its superuser."""
    folder = tmp_path_factory.mktemp("server") / "postgres"
    yield postgres.start(folder, durable=False).url
    postgres.stop(folder)


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> Iterator[str]:
    """The name of a database with the current schema and no rows."""
    with new_database(postgres_url) as url:
        migrate(url)
        yield str(make_url(url).database)


@pytest.fixture
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    with new_database(postgres_url, template=migrated_template) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url, poolclass=NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def studio(engine: Engine, tmp_path: Path) -> Studio:
    (tmp_path / "assets").mkdir()
    return Studio(engine, tmp_path / "assets")


@pytest.fixture
def pipeline(studio: Studio, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """Real Dagster, real PostgreSQL, the embedded models."""
    # Dagster takes seconds to import, which the tests that do without it need not wait.
    import dagster as dg

    from resources.wiring import dagster_resources
    from testing.pipeline import Pipeline

    monkeypatch.setenv("DATABASE_URL", database_url)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Pipeline(instance, dict(dagster_resources(Settings(asset_root=studio.asset_root))))
