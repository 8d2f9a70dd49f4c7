"""A search for texts over a whole database and below folders, as somebody makes it who wants to know what is left."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

_TABLES = """
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY 1
"""


def rows_naming(url: str, texts: Collection[str]) -> list[str]:
    """Every row of every table that has one of the texts in any column, as `table: row`."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        found = [
            f"{table}: {row}"
            for table in connection.scalars(text(_TABLES)).all()
            for row in connection.scalars(
                text(f"SELECT CAST(t AS text) FROM {table} AS t WHERE CAST(t AS text) LIKE ANY (:texts)"),
                {"texts": [f"%{each}%" for each in texts]},
            )
        ]
    engine.dispose()
    return found


def files_naming(folder: Path, texts: Collection[str]) -> list[Path]:
    """Every file and folder below this one that has one of the texts in its name or in itself."""
    return [path for path in sorted(folder.rglob("*")) if any(_names(path, each) for each in texts)]


def _names(path: Path, wanted: str) -> bool:
    return wanted in path.name or (path.is_file() and wanted.encode() in path.read_bytes())
