"""The errors that callers of the database can act on, and how PostgreSQL's become one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError


class StageRefused(Exception):
    """A stage may not begin, or may not store its result. The variant's state is unchanged."""


class UnknownVariant(StageRefused):
    """No row of jobs_variants has this id."""


class ClaimLost(StageRefused):
    """Somebody moved the variant while the stage worked; its result is discarded."""


class NotReady(StageRefused):
    """What the stage needs is missing or stale."""


def reason(error: DBAPIError) -> str:
    """PostgreSQL's message without the statement and its context."""
    return str(error.orig).strip().partition("\n")[0]


# The SQLSTATEs that sql/schema.sql raises on purpose.
_REFUSALS: dict[str, type[StageRefused]] = {"JV404": UnknownVariant, "JV409": ClaimLost, "JV412": NotReady}


@contextmanager
def refusals() -> Iterator[None]:
    """Raises the refusal that a SQLSTATE of ours means, with PostgreSQL's message and hint as its text."""
    try:
        yield
    except DBAPIError as error:
        refusal = _REFUSALS.get(getattr(error.orig, "pgcode", None) or "")
        if refusal is None:
            raise
        diagnostics = error.orig.diag  # type: ignore[union-attr]
        raise refusal(". ".join(filter(None, (diagnostics.message_primary, diagnostics.message_hint)))) from None
