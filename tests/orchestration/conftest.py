from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from orchestration.processes import PROCESS_VARIABLE
from resources.settings import PROJECT
from testing.databases import new_database
from testing.forking._dagster import BaseWorkspaceRequestContext
from testing.forking.runs import Runs, code_server, fork_launcher, forking_instance


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The folder of source files that fork servers watch."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "one.py").write_text("")
    return folder


@pytest.fixture(scope="session")
def dagster_template(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a database with Dagster's tables and no rows."""
    with new_database(postgres_url) as url:
        with forking_instance(url, tmp_path_factory.mktemp("template"), {}):
            pass
        yield str(make_url(url).database)


@pytest.fixture
def dagster_url(postgres_url: str, dagster_template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database with Dagster's tables, and an environment in which child processes find the project."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.delenv(PROCESS_VARIABLE, raising=False)
    with new_database(postgres_url, template=dagster_template) as url:
        yield url


@pytest.fixture
def runs(dagster_url: str, tmp_path: Path, sources: Path) -> Iterator[Runs]:
    config = fork_launcher(sources, renew_after_runs=3)
    with forking_instance(dagster_url, tmp_path, config) as instance:
        yield Runs(instance)


@pytest.fixture
def workspace(runs: Runs) -> Iterator[BaseWorkspaceRequestContext]:
    """The same jobs behind a code server."""
    with code_server(runs.instance) as context:
        yield context.create_request_context()
