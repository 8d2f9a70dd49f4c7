"""Deletes a job with everything that exists of it: rows, pictures, partitions, runs with events and logs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import dagster as dg

from orchestration.removal import PARTITION_TAG, forget_partitions
from resources.images import OWN_PREFIX, ImageStore, names_variant
from resources.postgres.database import Database
from resources.postgres.errors import UnknownVariant
from resources.postgres.values import variant_id
from variant_assets.partitions import job_variants
from variant_assets.runs import unfinished_runs, variants_in_flight, variants_of

_ENDED_WITHIN_S = 60.0


class DeletionError(Exception):
    """Not everything of a job could be deleted; the message says what is left, and when it goes."""


@dataclass(frozen=True)
class Deletion:
    """What was deleted, and the pictures of other parts, which only they may remove."""

    variants: int
    pictures: int
    of_other_parts: list[str]


def delete_job(
    instance: dg.DagsterInstance,
    db: Database,
    images: ImageStore,
    job: UUID,
    *,
    ended_within_s: float = _ENDED_WITHIN_S,
) -> Deletion | None:
    """Removes everything of a job; None where there is no such job.

    The rows go first, so nothing of it can start any more. Its runs are terminated. Raises DeletionError when one of
    them does not end; the hourly retention removes what is left then.
    """
    deleted = db.maintenance.delete_job(job)
    if deleted is None:
        return None
    _end_runs(instance, deleted.variants, ended_within_s)
    removed = forget_variants(instance, db, images, deleted.variants, deleted.pictures)
    others = [url for url in deleted.pictures if not url.startswith(OWN_PREFIX)]
    return Deletion(len(deleted.variants), removed, others)


def forget_variants(
    instance: dg.DagsterInstance,
    db: Database,
    images: ImageStore,
    variants: Collection[UUID],
    pictures: Collection[str] = (),
) -> int:
    """Removes what is left of variants that have no row and no run in flight. Returns how many pictures it removed."""
    if not variants:
        return 0
    # Also those of a stage that was repeated or never finished, which no row has named at the end.
    written = (url for url in images.own_before(_for_ever()) if names_variant(url, variants))
    own = {*written, *(url for url in pictures if url.startswith(OWN_PREFIX))}
    unused = own - db.maintenance.used_pictures(sorted(own))
    for url in sorted(unused):
        images.remove(url)
    forget_partitions(instance, str(job_variants.name), [str(key) for key in variants])
    return len(unused)


def deleted_variants(instance: dg.DagsterInstance, db: Database) -> list[UUID]:
    """The variants that Dagster has a partition or a run of, and that have no row and no run in flight."""
    known = {*instance.get_dynamic_partitions(str(job_variants.name)), *_partitions_of_runs(instance)}
    keys = list(_variants(known))
    gone = [key for key, ended in db.maintenance.ended_variants(keys).items() if ended is None]
    in_flight = variants_in_flight(instance, datetime.now(UTC)) if gone else set()
    return [key for key in gone if key not in in_flight]


def _partitions_of_runs(instance: dg.DagsterInstance) -> set[str]:
    return {value for _, values in instance.get_run_tags([PARTITION_TAG]) for value in values}


def _variants(partitions: Collection[str]) -> Iterator[UUID]:
    for partition in partitions:
        try:
            yield variant_id(partition)
        except UnknownVariant:
            # A partition somebody added by hand under another name is theirs to remove.
            continue


def _end_runs(instance: dg.DagsterInstance, variants: Collection[UUID], within_s: float) -> None:
    give_up_s = time.monotonic() + within_s
    for run in _runs_of(instance, variants):
        instance.run_coordinator.cancel_run(run.run_id)
    while left := _runs_of(instance, variants):
        if time.monotonic() > give_up_s:
            raise DeletionError(
                f"the rows are deleted, but run {left[0].run_id} does not end; the hourly retention removes the rest"
                " when it has ended"
            )
        time.sleep(0.2)


def _runs_of(instance: dg.DagsterInstance, variants: Collection[UUID]) -> list[dg.DagsterRun]:
    unfinished = unfinished_runs(instance, datetime.now(UTC))
    return [run for run in unfinished if not set(variants).isdisjoint(variants_of(run))]


def _for_ever() -> datetime:
    return datetime.now(UTC) + timedelta(days=36500)
