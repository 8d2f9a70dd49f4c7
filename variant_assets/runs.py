"""What Dagster knows of the runs of variants."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

import dagster as dg

from orchestration.removal import PARTITION_TAG
from resources.postgres.errors import UnknownVariant
from resources.postgres.values import WaitingVariant, variant_id

RUN_KEY_TAG = "dagster/run_key"
SENSOR_TAG = "dagster/sensor_name"

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# A run that is NOT_STARTED for longer was never submitted. Dagster submits it when its sensor requests its key again.
_SUBMITTED_WITHIN = timedelta(seconds=60)


def run_key(variant: WaitingVariant) -> str:
    """One run for each state: requesting the same state twice gives one run, a state written anew gives a new run."""
    return f"{variant.job_variants_id}:{variant.state_revision}"


def unfinished_runs(instance: dg.DagsterInstance, now: datetime) -> list[dg.DagsterRun]:
    """The runs that are queued or at work, whoever requested them."""
    records = instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED))
    return [
        record.dagster_run
        for record in records
        if record.dagster_run.status is not dg.DagsterRunStatus.NOT_STARTED
        or now - record.create_timestamp < _SUBMITTED_WITHIN
    ]


def variants_in_flight(instance: dg.DagsterInstance, now: datetime) -> set[UUID]:
    """The variants with a run that is queued or at work, whoever requested it."""
    return {key for run in unfinished_runs(instance, now) for key in variants_of(run)}


def runs_by_key(instance: dg.DagsterInstance, keys: Collection[str]) -> dict[str, dg.DagsterRun]:
    """The newest run for each run key that has one."""
    if not keys:
        return {}
    records = instance.get_run_records(dg.RunsFilter(tags={RUN_KEY_TAG: list(keys)}), ascending=True)
    return {record.dagster_run.tags[RUN_KEY_TAG]: record.dagster_run for record in records}


def runs_by_id(instance: dg.DagsterInstance, run_ids: Collection[str]) -> dict[str, dg.DagsterRun]:
    """Those of the runs that Dagster knows."""
    if not run_ids:
        return {}
    return {run.run_id: run for run in instance.get_runs(dg.RunsFilter(run_ids=list(run_ids)))}


def is_terminated(run: dg.DagsterRun) -> bool:
    """An operator has terminated it."""
    return run.status is dg.DagsterRunStatus.CANCELED


def terminated(instance: dg.DagsterInstance, run_ids: Collection[str]) -> set[str]:
    """Those of the runs that an operator has terminated."""
    return {run_id for run_id, run in runs_by_id(instance, run_ids).items() if is_terminated(run)}


def asked_revision(run: dg.DagsterRun) -> int | None:
    """The state that a sensor requested this run for; None for a run that a person started.

    A re-execution carries a copy of its first run's key, which does not count.
    """
    key = run.tags.get(RUN_KEY_TAG, "")
    revision = key.rpartition(":")[2]
    return int(revision) if run.parent_run_id is None and revision.isdecimal() else None


def variants_of(run: dg.DagsterRun) -> list[UUID]:
    """The variant that a run works on; none if the run's partition is not a variant."""
    partition = run.tags.get(PARTITION_TAG)
    if partition is None:
        return []
    try:
        return [variant_id(partition)]
    except UnknownVariant:
        # Somebody added a partition under another name by hand; the run of that partition reports it.
        return []
