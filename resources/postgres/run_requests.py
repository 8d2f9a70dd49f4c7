"""Which variants wait for a run, which sensor requests it, and what became of the request."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from resources.postgres.transactions import Transactions
from resources.postgres.values import RequestedVariant, RunOutcome, WaitingVariant

# A state that one sensor has requested is left to it for so long.
KEPT_S = 60.0
# Released old work is admitted while fewer variants than this are in flight: a new variant waits for no more.
_RELEASED_IN_FLIGHT = 6


class RunRequests:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def any_startable(self) -> bool:
        """Whether any variant waits for a run or is between two stages of its run."""
        return bool(self._transactions.one("any_startable_variant")[0])

    def request_startable(
        self, sensor: str, in_flight: Collection[UUID], most: int, *, kept_s: float = KEPT_S
    ) -> list[RequestedVariant]:
        """Finds variants that wait for a run, records that this sensor requests their runs, and returns them.

        Variants with a run in flight are left out. The tenants take turns, the longest waiting variant of each first. A
        state that another sensor has requested is left out for `kept_s` seconds.
        """
        keys = [str(key) for key in in_flight]
        self._transactions.all("admit_released_work", in_flight=keys, room=_RELEASED_IN_FLIGHT)
        rows = self._transactions.all(
            "request_startable_variants", sensor=sensor, in_flight=keys, most=most, kept_s=kept_s
        )
        return [RequestedVariant(**row._mapping) for row in rows]

    def release(self) -> int:
        """The daemon that should have created the requested runs is gone: any sensor may soon request them again.

        Returns how many requests this concerns. Those that have their run already are recognised when they are found.
        """
        return len(self._transactions.all("release_requests", kept_s=KEPT_S))

    def record_outcome(self, variant: WaitingVariant, outcome: RunOutcome) -> None:
        """Records that the run of this state is over, so that no sensor requests another run for the same state."""
        self._transactions.all(
            "record_run_outcome",
            variant=str(variant.job_variants_id),
            state_revision=variant.state_revision,
            outcome=outcome,
        )

    def held_variants(self, in_flight: Collection[UUID], most: int) -> list[WaitingVariant]:
        """Startable variants that a run which is not in flight still holds: the run ended between two stages."""
        return self._waiting("find_held_variants", in_flight, most)

    def unbegun_variants(self, in_flight: Collection[UUID], most: int) -> list[WaitingVariant]:
        """Startable variants whose run was requested but is not in flight, and which may be requeued now."""
        return self._waiting("find_unbegun_variants", in_flight, most)

    def requeue(self, variant: WaitingVariant) -> bool:
        """Gives the variant's state a new revision, so that a new run is requested.

        False when somebody has written the state since, or the pause since the last try is not over.
        """
        key, revision = str(variant.job_variants_id), variant.state_revision
        return bool(self._transactions.one("requeue_variant", variant=key, state_revision=revision)[0])

    def remove_past(self, most: int) -> int:
        """Removes the requests of variants that have ended. Returns how many."""
        return int(self._transactions.one("remove_past_requests", most=most)[0])

    def _waiting(self, query: str, in_flight: Collection[UUID], most: int) -> list[WaitingVariant]:
        rows = self._transactions.all(query, in_flight=[str(key) for key in in_flight], most=most)
        return [WaitingVariant(**row._mapping) for row in rows]
