"""Named SQL: files of `-- name: x` blocks, each one statement with a line of purpose."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from sqlalchemy import TextClause, text

SQL_FOLDER = Path(__file__).resolve().parents[2] / "sql"
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@lru_cache
def load(path: Path) -> dict[str, TextClause]:
    """The statements of a file by name, with `:name` parameters for SQLAlchemy."""
    _, *parts = _NAME.split(path.read_text(encoding="utf-8"))
    names, bodies = parts[0::2], parts[1::2]
    duplicates = {name for name in names if names.count(name) > 1}
    if duplicates:
        raise ValueError(f"{path.name} names {sorted(duplicates)} twice; every query needs a name of its own")
    return {name: text(body.strip().rstrip(";")) for name, body in zip(names, bodies, strict=True)}


def named(name: str) -> TextClause:
    """A statement of sql/queries.sql."""
    return load(SQL_FOLDER / "queries.sql")[name]
