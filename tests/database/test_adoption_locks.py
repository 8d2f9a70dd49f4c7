"""While a database is adopted, the other teams read and write, and nobody waits long."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from resources.postgres.adoption import MigrationRefused
from resources.postgres.migrations import migrate
from testing.databases import new_database, run_script
from testing.other_teams import OtherTeams

# What is promised is 0.5; the machine of a test may be busy with other things.
MOST_S = 1.0


@pytest.fixture
def old_url(postgres_url: str) -> Iterator[str]:
    with new_database(postgres_url) as url:
        run_script(url, "old_database.sql")
        yield url


def test_other_teams_write_during_an_adoption_without_an_error_and_wait_for_no_transaction(old_url: str) -> None:
    engine = create_engine(old_url, poolclass=NullPool)
    teams = OtherTeams(old_url)
    with teams.at_work(), ThreadPoolExecutor(1) as pool, engine.connect() as idle:
        idle.execute(text("SELECT count(*) FROM jobs_variants"))
        migrating = pool.submit(migrate, old_url)
        time.sleep(1.5)
        assert not migrating.done()
        # A statement of the idle transaction itself does not collide with what waits for it.
        idle.execute(text("SELECT count(*) FROM jobs"))
        idle.rollback()
        assert migrating.result(timeout=60)
    assert teams.errors == []
    assert min(teams.done[name] for name in ("js", "ye", "reader")) > 5
    assert teams.longest_s < MOST_S, teams.longest_statement
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM jobs_variants WHERE current_step IS NULL")) == 0


def test_a_transaction_that_does_not_end_is_named(
    old_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("resources.postgres.migrations._SLOW_S", 0.5)
    engine = create_engine(old_url, poolclass=NullPool, connect_args={"application_name": "report of js"})
    with engine.connect() as idle:
        idle.execute(text("SELECT count(*) FROM jobs"))
        with pytest.raises(
            MigrationRefused, match=r"waits for a lock since 1 s. Process \d+ of \w+ \(report of js\) is idle in"
        ):
            migrate(old_url, patience_s=1.0)
    assert migrate(old_url)
    # Meanwhile people have seen which step it is.
    assert "0002_variant_state.sql, step 1 of 8 (the predecessor's notifications about jobs end) …" in (
        capsys.readouterr().err
    )
