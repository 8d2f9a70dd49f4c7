"""Databases for tests: a template migrated once per test run, cloned for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool


@contextmanager
def new_database(admin_url: str, *, template: str = "template0") -> Iterator[str]:
    """A database of its own, dropped at the end; yields its URL."""
    name = f"test_{uuid4().hex[:12]}"
    admin = create_engine(admin_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    try:
        yield make_url(admin_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        admin.dispose()


def run_script(url: str, script: str) -> None:
    """Runs a file of this folder in the database."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        sql = Path(__file__).with_name(script).read_text(encoding="utf-8")
        connection.execution_options(no_parameters=True).exec_driver_sql(sql)
    engine.dispose()
