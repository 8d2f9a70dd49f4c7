"""Which variants wait for a run, and which sensor requests it."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from resources.postgres.transactions import Transactions
from resources.postgres.values import StartableVariant


class RunRequests:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def startable(self, in_flight: Collection[UUID], most: int) -> list[StartableVariant]:
        """Variants that wait for a run and have none in flight; tenants take turns, the longest waiting first."""
        rows = self._transactions.all("find_startable_variants", in_flight=[str(key) for key in in_flight], most=most)
        return [StartableVariant(**row._mapping) for row in rows]

    def any_startable(self) -> bool:
        """Whether any variant waits for a run or is between two stages of one."""
        return bool(self._transactions.one("any_startable_variant")[0])

    def request(self, variants: Collection[StartableVariant], sensor: str, *, kept_s: float = 60.0) -> set[UUID]:
        """Those of the variants whose runs this sensor is to ask for; another has taken the rest, `kept_s` long."""
        if not variants:
            return set()
        rows = self._transactions.all(
            "request_variants",
            variants=[str(variant.job_variants_id) for variant in variants],
            revisions=[variant.state_revision for variant in variants],
            sensor=sensor,
            kept_s=kept_s,
        )
        return {row.job_variants_id for row in rows}

    def requeue(self, variant: UUID, state_revision: int) -> bool:
        """Asks for a new run of a startable variant, if its pause since the last try is over."""
        return bool(self._transactions.one("requeue_variant", variant=str(variant), state_revision=state_revision)[0])
