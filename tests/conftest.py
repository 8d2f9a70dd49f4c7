from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from resources.migrations import migrate
from tests.databases import new_database


@pytest.fixture(scope="session")
def postgres_url() -> str:
    return "postgresql+psycopg2://postgres@127.0.0.1:54399/postgres"


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
