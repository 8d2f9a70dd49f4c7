"""What is read from the database and written to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar
from uuid import UUID

from resources.postgres.errors import UnknownVariant
from stages.values import Value, Verdict

V = TypeVar("V", bound=Value)


def variant_id(partition_key: str) -> UUID:
    """The job_variants_id that a partition key is. Raises UnknownVariant for any other text."""
    try:
        return UUID(partition_key)
    except ValueError:
        raise UnknownVariant(
            f"partition key {partition_key!r} is not a UUID; use the job_variants_id of a row in jobs_variants"
        ) from None


@dataclass(frozen=True)
class Variant:
    """What a stage reads of a variant: ids, URLs of its pictures, the copy, and the results of the stages before."""

    job_variants_id: UUID
    job_id: UUID
    img_asset_id: UUID | None
    created_at: datetime
    image_url: str | None
    image_tenant_id: str | None
    tenant_id: str | None
    copy_kor: str | None
    copy_eng: str | None
    brief: str | None
    forbidden_mask_url: str | None
    ad_url: str | None
    results: dict[str, Any]

    def result(self, stage: str, kind: type[V]) -> V:
        """The current result of an earlier stage."""
        return kind.model_validate(self.results[stage])


@dataclass(frozen=True)
class DeletedJob:
    """What a job had: its variants, and the URLs of its pictures that no row names any more."""

    variants: list[UUID]
    pictures: list[str]


@dataclass(frozen=True)
class StageOutput:
    """What a stage stores: its value, the URL of at most one picture, what a model was asked, and a verdict.

    Only the last stage has a verdict.
    """

    value: Value
    latency_ms: float
    artifact_url: str | None = None
    request: dict[str, Any] = field(default_factory=dict)
    verdict: Verdict | None = None


@dataclass(frozen=True)
class JobProgress:
    """How many variants of a job are complete, how many failed, how many it has, and the job's status now."""

    complete: int
    failed: int
    total: int
    job_status: str | None


@dataclass(frozen=True)
class WaitingVariant:
    """A startable variant: the revision of its state, the run that holds its claim, and the stage to start at."""

    job_variants_id: UUID
    state_revision: int
    held_by: str | None
    start_stage: str


@dataclass(frozen=True)
class RequestedVariant(WaitingVariant):
    """A waiting variant whose run the calling sensor has just requested.

    `requested_before` says that this state was requested already, so that Dagster may have a run for it.
    """

    job_id: UUID
    tenant_id: str | None
    current_step: str
    status: str
    requested_before: bool


# How the requested run of a state ended while the variant was still in that state.
RunOutcome = Literal["ended", "terminated"]


@dataclass(frozen=True)
class RunningVariant:
    """A variant that a run has claimed."""

    job_variants_id: UUID
    current_step: str
    claimed_by: str | None


@dataclass(frozen=True)
class BrokenInvariant:
    """What must never be, and which job or variant it is about."""

    invariant: str
    job_id: UUID | None
    job_variants_id: UUID | None


@dataclass(frozen=True)
class UnfinishedJob:
    """A done job with variants that have not ended: they were added later, or are run again."""

    job_id: UUID
    complete: int
    failed: int
    total: int
