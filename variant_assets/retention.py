"""What is kept of finished work and for how long, and the hourly job that removes the rest."""

# Dagster reads the annotations of an op at run time, so they are not postponed here.

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import dagster as dg

from orchestration import removal
from resources.images import ImageStore
from resources.postgres.database import Database
from resources.postgres.errors import UnknownVariant
from resources.postgres.values import variant_id
from resources.settings import Settings
from variant_assets.deletion import delete_job, deleted_variants, forget_variants
from variant_assets.partitions import job_variants
from variant_assets.runs import variants_in_flight

# One pass ends in minutes also when there is much to remove; what it leaves is the next hour's.
MOST_PER_PASS = 20_000
_KEYS_PER_READ = 10_000
# Between looks at what is in flight.
_KEYS_PER_REMOVAL = 500
_RUNS_PER_READ = 2_000
_JOBS_PER_PASS = 200
_FILES_PER_READ = 5_000
# Longer than any picture takes to be written.
_UNFINISHED_FOR = timedelta(hours=1)
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


class RetentionPolicy(dg.ConfigurableResource[Any]):
    """How long finished work is kept, in days, and how many partitions at most."""

    partition_days: int
    partitions: int
    run_days: int
    image_days: int
    detail_days: int = 1
    job_days: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> "RetentionPolicy":
        return cls(
            partition_days=settings.partition_retention_days,
            partitions=settings.partitions_kept,
            run_days=settings.run_retention_days,
            image_days=settings.image_retention_days,
            detail_days=settings.run_detail_days,
            job_days=settings.job_retention_days,
        )


@dg.op(
    description="Removes old jobs if a setting says so, all that is left of deleted variants, finished partitions, old"
    " runs with events and logs, and pictures that nothing refers to."
)
def remove_old(
    context: dg.OpExecutionContext,
    db: dg.ResourceParam[Database],
    images: dg.ResourceParam[ImageStore],
    retention_policy: RetentionPolicy,
) -> None:
    now = datetime.now(UTC)
    removed = {
        "jobs": remove_jobs(context.instance, db, images, retention_policy, now),
        "deleted variants": forget_deleted(context.instance, db, images),
        "partitions": remove_partitions(context.instance, db, retention_policy, now),
        "runs": remove_runs(context.instance, retention_policy, now),
        "details of runs": removal.remove_details(context.instance, now - timedelta(days=retention_policy.detail_days)),
        "pictures": remove_pictures(db, images, retention_policy, now),
        "requests": db.run_requests.remove_past(MOST_PER_PASS),
    }
    context.add_output_metadata(dict(removed))
    context.log.info("removed " + ", ".join(f"{count} {what}" for what, count in removed.items()))


@dg.job(description="Keeps the instance small: see the settings *_RETENTION_DAYS and PARTITIONS_KEPT.")
def retention() -> None:
    remove_old()


hourly_retention = dg.ScheduleDefinition(
    name="hourly_retention", job=retention, cron_schedule="17 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)


def to_remove(
    ended: Mapping[UUID, datetime | None],
    partitions: int,
    now: datetime,
    kept: RetentionPolicy,
    most: int = MOST_PER_PASS,
) -> list[UUID]:
    """Of the ended variants, with when they ended, those whose partition goes: the longest ended first.

    All that ended too long ago, or have no row any more (None), and of the others as many as there are partitions too
    many. `partitions` counts also those that have not ended; they always stay.
    """
    oldest = datetime.min.replace(tzinfo=UTC)
    order = sorted(ended, key=lambda key: ended[key] or oldest)
    before = now - timedelta(days=kept.partition_days)
    old = sum((ended[key] or oldest) < before for key in order)
    return order[: min(max(old, partitions - kept.partitions), most)]


def remove_jobs(
    instance: dg.DagsterInstance, db: Database, images: ImageStore, kept: RetentionPolicy, now: datetime
) -> int:
    """Deletes jobs that ended too long ago, with everything that belongs to them. Returns how many."""
    if kept.job_days is None:
        return 0
    jobs = db.maintenance.old_jobs(now - timedelta(days=kept.job_days), most=_JOBS_PER_PASS)
    return sum(delete_job(instance, db, images, job) is not None for job in jobs)


def forget_deleted(instance: dg.DagsterInstance, db: Database, images: ImageStore) -> int:
    """Removes all that is left of variants whose rows somebody has deleted. Returns how many."""
    gone = deleted_variants(instance, db)[:MOST_PER_PASS]
    forget_variants(instance, db, images, gone)
    return len(gone)


def remove_partitions(instance: dg.DagsterInstance, db: Database, kept: RetentionPolicy, now: datetime) -> int:
    """Removes the keys of finished variants; never one with a run in flight. Returns how many."""
    keys = [key for key in map(_variant, instance.get_dynamic_partitions(str(job_variants.name))) if key is not None]
    ended = {
        key: when
        for part in removal.in_parts(keys, _KEYS_PER_READ)
        for key, when in db.maintenance.ended_variants(part).items()
    }
    removed = 0
    for part in removal.in_parts(to_remove(ended, len(keys), now, kept), _KEYS_PER_REMOVAL):
        # Read again for each part: meanwhile somebody may have started one, and with it the variant is not ended.
        still_ended = db.maintenance.ended_variants(part)
        in_flight = variants_in_flight(instance, datetime.now(UTC))
        for key in part:
            if key in still_ended and key not in in_flight:
                instance.delete_dynamic_partition(str(job_variants.name), str(key))
                removed += 1
    return removed


def remove_runs(instance: dg.DagsterInstance, kept: RetentionPolicy, now: datetime) -> int:
    """Removes finished runs that nothing has happened to for so many days, with all that is kept of them.

    Returns how many.
    """
    before = now - timedelta(days=kept.run_days)
    filters = dg.RunsFilter(statuses=_FINISHED, updated_before=before)
    removed = 0
    while removed < MOST_PER_PASS and (found := instance.get_run_ids(filters, limit=_RUNS_PER_READ)):
        removal.remove_runs(instance, found)
        removed += len(found)
    removal.remove_leftovers(instance, before)
    return removed


def remove_pictures(db: Database, images: ImageStore, kept: RetentionPolicy, now: datetime) -> int:
    """Removes our own pictures that no row refers to, of deleted jobs or replaced since, and unfinished ones."""
    removed = images.remove_unfinished(now - _UNFINISHED_FOR)
    for part in removal.in_parts(images.own_before(now - timedelta(days=kept.image_days)), _FILES_PER_READ):
        for url in sorted(set(part) - db.maintenance.used_pictures(part)):
            images.remove(url)
            removed += 1
    return removed


def _variant(partition: str) -> UUID | None:
    try:
        return variant_id(partition)
    except UnknownVariant:
        # A partition somebody added by hand under another name is theirs to remove.
        return None
