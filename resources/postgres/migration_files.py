"""The files of sql/migrations, and the steps that each one consists of.

A file is one step in one transaction, unless comments of this form divide it; each applies to what follows it:

    -- step: what it does                                one transaction
    -- step in batches of TABLE by KEY: what it does     one transaction per thousand keys, :after < KEY <= :upto
    -- step outside a transaction: what it does          one statement that cannot be in one
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from resources.postgres.queries import SQL_FOLDER

_STEP = re.compile(
    r"^-- step(?: in batches of (?P<table>\w+) by (?P<key>\w+)|(?P<outside> outside a transaction))?: (?P<purpose>.+)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Step:
    """A part of a migration that is done as a whole or not at all. Doing it twice changes nothing more."""

    purpose: str
    sql: str
    #: the table and the key whose ranges bound the batches
    batches: tuple[str, str] | None = None
    in_transaction: bool = True


@dataclass(frozen=True)
class MigrationFile:
    number: int
    name: str
    steps: tuple[Step, ...]


def files() -> list[Path]:
    """The migrations in the order of their numbers."""
    found = sorted((SQL_FOLDER / "migrations").glob("*.sql"))
    numbers = [number_of(path) for path in found]
    if numbers != list(range(1, len(found) + 1)):
        raise ValueError(f"sql/migrations must be numbered 1, 2, 3 … without gaps, found {numbers}")
    return found


def number_of(path: Path) -> int:
    match = re.match(r"(\d{4})_\w+\.sql$", path.name)
    if match is None:
        raise ValueError(f"{path.name} is not named like 0001_what_it_does.sql")
    return int(match[1])


def read(path: Path) -> MigrationFile:
    text = path.read_text(encoding="utf-8")
    found = list(_STEP.finditer(text))
    if not found:
        return MigrationFile(number_of(path), path.name, (Step("everything", text),))
    before = re.sub(r"--.*", "", text[: found[0].start()])
    if before.strip():
        raise ValueError(f"{path.name} has SQL before its first step: {before.strip()}")
    ends = [match.start() for match in found[1:]] + [len(text)]
    steps = [_step(match, text[match.end() : end]) for match, end in zip(found, ends, strict=True)]
    return MigrationFile(number_of(path), path.name, tuple(steps))


def _step(match: re.Match[str], sql: str) -> Step:
    batches = (match["table"], match["key"]) if match["table"] else None
    return Step(match["purpose"], sql, batches, in_transaction=match["outside"] is None)
