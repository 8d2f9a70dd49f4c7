"""Which service works on a database: one at a time, as long as it renews its lease."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from resources.postgres.transactions import Transactions

NEVER_RENEWED = -1


@dataclass(frozen=True)
class HeldLease:
    """The service that holds the lease, how often it was renewed, and since when it holds it."""

    holder: dict[str, Any]
    renewals: int
    taken_at: datetime


class Lease:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def read(self) -> HeldLease | None:
        rows = self._transactions.all("read_lease")
        return HeldLease(**rows[0]._mapping) if rows else None

    def take(self, holder: Mapping[str, Any], renewals_seen: int) -> bool:
        """Takes the lease. False when another service has taken or renewed it since it was read.

        `renewals_seen` is NEVER_RENEWED where nobody had it.
        """
        return bool(self._transactions.all("take_lease", holder=json.dumps(holder), renewals_seen=renewals_seen))

    def renew(self, holder: Mapping[str, Any]) -> bool:
        """False when another service has taken the lease."""
        return bool(self._transactions.all("renew_lease", holder=json.dumps(holder)))

    def release(self, holder: Mapping[str, Any]) -> None:
        """Another service may start at once."""
        self._transactions.all("release_lease", holder=json.dumps(holder))
