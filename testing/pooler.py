"""A real PgBouncer before a database, in the mode in which every transaction may get another connection."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from sqlalchemy import make_url

from service.running import free_port
from testing.debian import libraries, program
from testing.waiting import until


@contextmanager
def pgbouncer(database_url: str, folder: Path, *, drops_options: bool = False) -> Iterator[str]:
    """The database's URL through the pooler. With `drops_options` it ignores the options of a connection."""
    server, port = make_url(database_url), free_port(0)
    (folder / "pgbouncer.ini").write_text(
        "[databases]\n"
        f"ads = host={server.host} port={server.port} dbname={server.database} user={server.username}"
        f" password={server.password}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\n" + ("ignore_startup_parameters = options\n" if drops_options else "")
    )
    as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(
            [program("pgbouncer"), *as_user, str(folder / "pgbouncer.ini")],
            env={**os.environ, **libraries()},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"postgresql+psycopg2://anyone@127.0.0.1:{port}/ads"
        until("PgBouncer answers", lambda: answers(url), details=(folder / "pgbouncer.log").read_text)
        yield url
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        psycopg2.connect(url.replace("+psycopg2", "")).close()
    except psycopg2.OperationalError:
        return False
    return True
