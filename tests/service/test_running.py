"""Starting the service where something is in the way."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from resources.settings import PROJECT, Settings
from service import postgres
from service.__main__ import main
from service.commands import ServiceError
from service.database import prepare_database
from service.running import free_port, port_note, running_environment, start, stop
from service.state import Process, Record, State
from testing.databases import new_database
from testing.waiting import until


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
    assert port_note(record, taken_port) == f" (port {taken_port} is taken)"
    assert port_note(record, port) == ""


def test_a_database_that_is_down_is_named_with_the_way_out_and_nothing_is_left_running(tmp_path: Path) -> None:
    url = f"postgresql://shop:secret@127.0.0.1:{free_port(0)}/ads"
    with pytest.raises(ServiceError, match=r"cannot use database ads at 127\.0\.0\.1:\d+ as shop: .*refused") as error:
        start(Settings(state_folder=tmp_path, database_url=url))
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


def test_a_user_who_may_not_create_tables_is_told_so(postgres_url: str) -> None:
    user = f"reader_{uuid4().hex[:8]}"
    with new_database(postgres_url) as url:
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text(f"CREATE ROLE {user} LOGIN PASSWORD 'known'"))
        try:
            reader = make_url(url).set(username=user, password="known").render_as_string(hide_password=False)
            with pytest.raises(ServiceError, match="permission denied") as error:
                prepare_database(reader)
        finally:
            with engine.begin() as connection:
                connection.execute(text(f"DROP ROLE {user}"))
    assert f"as {user}" in str(error.value)
    assert "may create tables" in str(error.value)


def test_a_setting_that_cannot_be_used_starts_nothing_not_even_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"STATE_FOLDER": str(tmp_path), "DATABASE_URL": "", "DETECTOR": "radar"}.items():
        monkeypatch.setenv(name, value)
    assert main(["up"]) == 1
    assert "DETECTOR='radar' is not known; use one of: embedded, yolo" in capsys.readouterr().err
    assert postgres.running_port(State(tmp_path).postgres) is None
    assert State(tmp_path).record() is None


def test_a_migration_that_fails_leaves_no_embedded_database_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.running.prepare_database", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        start(Settings(state_folder=tmp_path, database_url=None))
    assert (State(tmp_path).postgres / "data").exists()
    assert postgres.running_port(State(tmp_path).postgres) is None


def test_how_many_variants_run_at_a_time_is_not_set_for_a_service_that_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STATE_FOLDER", str(tmp_path))
    assert main(["parallel", "2"]) == 1
    assert "the service does not run; start it with `make up`" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["parallel", "0"])
    assert "'0' is not a number of variants" in capsys.readouterr().err


def test_the_variables_for_the_commands_of_dagster_suffice_for_them_before_the_first_start(
    postgres_url: str, tmp_path: Path
) -> None:
    tools = Path(sys.executable).parent
    with new_database(postgres_url) as url:
        given = {**os.environ, "STATE_FOLDER": str(tmp_path), "ASSET_ROOT": str(tmp_path), "DATABASE_URL": url}
        check = f'variables=$("{sys.executable}" -m service env) && eval "$variables" && "{tools}/dg" check defs'
        done = subprocess.run(["bash", "-c", check], cwd=PROJECT, env=given, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


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


def test_a_process_is_still_itself_after_the_clock_was_set(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process.of("sleeper", sleeper.pid)
    moved_s = psutil.boot_time() + 60
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: moved_s)
    assert process.is_alive()


def test_a_process_that_has_just_ended_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    until("the child is a zombie", lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    ended = Process.of("child", child.pid)
    child.wait()
    assert not ended.is_alive()


def test_another_process_under_a_reused_id_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    replace(Process.of("sleeper", sleeper.pid), started_ticks=1).end()
    time.sleep(0.2)
    assert sleeper.poll() is None


def test_what_a_dead_supervisor_has_left_behind_is_no_service_and_is_ended(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    left = Process.of("daemon", sleeper.pid)
    dead = replace(left, name="supervisor", started_ticks=1)
    State(tmp_path).write(Record("http://127.0.0.1:3000", (dead, left)))
    assert running_environment(State(tmp_path)) is None
    assert stop(State(tmp_path))
    assert not left.is_alive()


@pytest.fixture
def just_ended(monkeypatch: pytest.MonkeyPatch) -> Process:
    """It lived when it was asked, and had ended a moment later."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as child:
        process = Process.of("child", child.pid)
        child.kill()
    answers = iter([True])
    monkeypatch.setattr(Process, "is_alive", lambda self: next(answers, False))
    return process


def test_a_service_that_ends_while_it_is_looked_at_does_not_run(tmp_path: Path, just_ended: Process) -> None:
    State(tmp_path).write(Record("http://127.0.0.1:3000", (just_ended,)))
    assert running_environment(State(tmp_path)) is None


@pytest.mark.parametrize("how", [Process.end, Process.ask_to_end])
def test_a_process_that_ends_before_it_is_told_to_has_ended(
    just_ended: Process, how: Callable[[Process], None]
) -> None:
    how(just_ended)
    assert not just_ended.is_alive()


def test_the_record_of_what_runs_is_read_as_it_was_written(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    state = State(tmp_path)
    record = Record("http://127.0.0.1:3000", (Process.of("sleeper", sleeper.pid),))
    state.write(record)
    assert state.record() == record
    assert record.is_alive
    state.forget()
    assert state.record() is None
