"""The embedded PostgreSQL: one server per folder, whoever starts it and however it ended."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from service.postgres import Cluster, PostgresError, kill, running_port, start, stop


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "postgres"
    yield folder
    stop(folder)


def ask(cluster: Cluster, sql: str, password: str | None = None) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(
        host="127.0.0.1",
        port=cluster.port,
        user="variants",
        password=password or cluster.password,
        dbname="variants",
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall() if cursor.description else []
    connection.close()
    return rows


def test_several_starters_at_once_end_on_one_server(folder: Path) -> None:
    code = f"from pathlib import Path; from service.postgres import start; print(start(Path({str(folder)!r})).port)"
    starters = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    ports = {starter.communicate(timeout=120)[0] for starter in starters}
    assert [starter.returncode for starter in starters] == [0, 0, 0]
    assert ports == {f"{running_port(folder)}\n"}


def test_everything_committed_survives_a_kill_and_the_address_stays(folder: Path) -> None:
    before = start(folder)
    ask(before, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
    kill(folder)
    after = start(folder)
    assert ask(after, "SELECT n FROM kept") == [(7,)]
    assert after.url == before.url


def test_stopping_twice_is_stopping_once(folder: Path) -> None:
    start(folder)
    assert stop(folder)
    assert not stop(folder)
    assert running_port(folder) is None


def test_it_runs_below_a_folder_that_only_its_owner_may_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    cluster = start(closed / "postgres")
    assert ask(cluster, "SELECT 1") == [(1,)]
    stop(closed / "postgres")


def test_the_password_is_demanded_and_readable_by_its_owner_only(folder: Path) -> None:
    cluster = start(folder)
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask(cluster, "SELECT 1", password="guess")
    assert stat.S_IMODE(os.stat(folder / "password").st_mode) == 0o600


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    start(folder)
    stop(folder)
    with (folder / "data" / "postgresql.conf").open("a") as file:
        file.write("no_such_option = on\n")
    with pytest.raises(PostgresError, match="no_such_option"):
        start(folder)
