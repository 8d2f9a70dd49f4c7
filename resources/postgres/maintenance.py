"""What the rescuer, retention and operators read and write."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from resources.postgres.transactions import Transactions
from resources.postgres.values import BrokenInvariant, DeletedJob, JobProgress, RunningVariant, UnfinishedJob

_LOCK_NOT_AVAILABLE = "55P03"
_PAUSE_S = 0.5


class Maintenance:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def running_variants(self, older_than_s: float, most: int) -> list[RunningVariant]:
        """Variants whose stage has been running for at least so many seconds, the oldest first."""
        rows = self._transactions.all("find_running_variants", older_than_s=older_than_s, most=most)
        return [RunningVariant(**row._mapping) for row in rows]

    def unsettled_jobs(self, most: int) -> list[UUID]:
        """Jobs to settle: noted ones, and of those in our hands some whose variants have all ended."""
        return [row.job_id for row in self._transactions.all("find_unsettled_jobs", most=most)]

    def settle_job(self, job: UUID) -> JobProgress:
        """Sets the job to done or failed if all its variants have ended. Doing it twice is no error."""
        return JobProgress(**self._transactions.one("settle_job", job=str(job))._mapping)

    def old_jobs(self, before: datetime, most: int) -> list[UUID]:
        """Jobs that ended before this time and of which no variant has changed since, the oldest first."""
        return [row.job_id for row in self._transactions.all("find_old_jobs", before=before, most=most)]

    def delete_job(self, job: UUID, *, tries: int = 60) -> DeletedJob | None:
        """Removes the job with all its rows. None where there is no such job.

        Where somebody writes to a row of it, it tries again every half second, and raises DBAPIError in the end.
        """
        try:
            row = self._transactions.one("delete_job", job=str(job))
        except DBAPIError as error:
            if tries <= 1 or getattr(error.orig, "pgcode", None) != _LOCK_NOT_AVAILABLE:
                raise
            time.sleep(_PAUSE_S)
            return self.delete_job(job, tries=tries - 1)
        return None if row.variants is None else DeletedJob(list(row.variants), list(row.pictures))

    def ended_variants(self, variants: Collection[UUID]) -> dict[UUID, datetime | None]:
        """Those of the variants that have ended, with the time; None for those that have no row any more."""
        rows = self._transactions.all("find_ended_variants", variants=[str(key) for key in variants])
        return {row.job_variants_id: row.ended_at for row in rows}

    def used_pictures(self, urls: Collection[str]) -> set[str]:
        """Those of the URLs that a row refers to."""
        return {row.url for row in self._transactions.all("find_used_pictures", urls=list(urls))}

    def broken_invariants(self, most: int) -> list[BrokenInvariant]:
        """What must never be in the database, and is; nothing on a sound one. Reads whole tables."""
        rows = self._transactions.all("find_broken_invariants", most=most)
        return [BrokenInvariant(**row._mapping) for row in rows]

    def unfinished_done_jobs(self, most: int) -> list[UnfinishedJob]:
        """Done jobs with a variant that was added later, or that is run again, and has not ended."""
        rows = self._transactions.all("find_unfinished_done_jobs", most=most)
        return [UnfinishedJob(**row._mapping) for row in rows]

    def release_old_work(self, most: int) -> tuple[int, int]:
        """Starts at most so many held variants, the newest first. Returns how many, and how many are still held."""
        released = self._transactions.one("release_old_work", most=most)[0]
        return released, self.held_work()

    def held_work(self) -> int:
        """How many variants wait for an operator to release them."""
        return int(self._transactions.one("count_held_work")[0])

    def unknown_states(self) -> int:
        """How many variants are in a state that nobody knows."""
        return int(self._transactions.one("count_unknown_states")[0])

    def order_parallel(self, variants: int) -> None:
        """Records how many variants an operator wants to run at a time, 1 or more."""
        self._transactions.one("order_parallel", variants=variants)

    def parallel_order(self) -> tuple[int, str] | None:
        """How many variants the operator last wanted to run at a time, and the time of that order (ISO 8601)."""
        rows = self._transactions.all("parallel_order")
        return (rows[0].variants, rows[0].ordered_at.isoformat()) if rows else None
