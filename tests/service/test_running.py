"""Starting the service where something is in the way."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from service.running import ServiceError, free_port, port_note, prepare_database, start
from service.state import Process, Record, State
from tests.databases import new_database


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_taken_port_gives_way_to_the_next_free_one_and_is_named(taken_port: int) -> None:
    port = free_port(taken_port)
    assert port > taken_port
    record = Record(f"http://127.0.0.1:{port}", ())
    assert port_note(record, {"WEBSERVER_PORT": str(taken_port)}) == f" (port {taken_port} is taken)"
    assert port_note(record, {"WEBSERVER_PORT": str(port)}) == ""


def test_a_database_that_is_down_is_named_with_the_way_out_and_nothing_is_left_running(tmp_path: Path) -> None:
    given = {
        **os.environ,
        "STATE_FOLDER": str(tmp_path),
        "DATABASE_URL": f"postgresql://shop:secret@127.0.0.1:{free_port(0)}/ads",
    }
    with pytest.raises(ServiceError, match=r"cannot use database ads at 127\.0\.0\.1:\d+ as shop: .*refused") as error:
        start(given)
    assert "DATABASE_URL" in str(error.value)
    assert "secret" not in str(error.value)
    assert State(tmp_path).record() is None


def test_a_wrong_password_is_named_as_such(postgres_url: str) -> None:
    wrong = make_url(postgres_url).set(password="guess").render_as_string(hide_password=False)
    with pytest.raises(ServiceError, match="password authentication failed"):
        prepare_database(wrong)


def test_a_database_is_prepared_with_our_tables_and_a_place_for_those_of_dagster(postgres_url: str) -> None:
    with new_database(postgres_url) as url:
        assert prepare_database(url)[0] == "0001_shared_tables.sql"
        assert prepare_database(url) == []


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield child
    child.kill()
    child.wait()


def test_a_process_is_ended_by_its_id_and_start_time(sleeper: subprocess.Popen[bytes]) -> None:
    process = Process.of("sleeper", sleeper.pid)
    assert process.is_alive()
    process.end()
    assert not process.is_alive()


def test_another_process_under_a_reused_id_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    Process("sleeper", sleeper.pid, created_s=1.0).end()
    time.sleep(0.2)
    assert sleeper.poll() is None


def test_the_record_of_what_runs_is_read_as_it_was_written(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    state = State(tmp_path)
    record = Record("http://127.0.0.1:3000", (Process.of("sleeper", sleeper.pid),))
    state.write(record)
    assert state.record() == record
    assert record.is_alive
    state.forget()
    assert state.record() is None
