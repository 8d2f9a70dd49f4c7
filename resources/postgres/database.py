"""The way into PostgreSQL: short transactions around the named queries; the state machine itself lives in sql/."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Engine, Row, create_engine
from sqlalchemy.exc import DBAPIError

from orchestration.pool_ping import ping_rested_connections
from resources.postgres.notifier import Listening
from resources.postgres.queries import named
from stages.values import Value, Verdict

V = TypeVar("V", bound=Value)
_CONNECTED_WITHIN_S = 10


class StageRefused(Exception):
    """A stage may not begin, or not store its result. The variant's state is untouched."""


class UnknownVariant(StageRefused):
    """No row of jobs_variants has this id."""


class ClaimLost(StageRefused):
    """Somebody moved the variant while the stage worked; the result is discarded."""


class NotReady(StageRefused):
    """What the stage needs is missing or stale."""


# The SQLSTATEs that sql/ raises on purpose.
_REFUSALS: dict[str, type[StageRefused]] = {"JV404": UnknownVariant, "JV409": ClaimLost, "JV412": NotReady}
SAVE_QUERIES = {
    "vlm_analyze": "save_vlm_analyze",
    "yolo_detect": "save_yolo_detect",
    "planner": "save_planner",
    "overlay": "save_overlay",
    "vlm_judge": "save_vlm_judge",
    "ocr_eval": "save_evaluation",
    "readability_eval": "save_evaluation",
    "iou_eval": "save_evaluation",
}


def variant_id(partition_key: str) -> UUID:
    """The job_variants_id that a partition key is."""
    try:
        return UUID(partition_key)
    except ValueError:
        raise UnknownVariant(
            f"partition key {partition_key!r} is not a UUID; use the job_variants_id of a row in jobs_variants"
        ) from None


@dataclass(frozen=True)
class Variant:
    """A variant as a stage sees it: ids, image, copy, and the results of the stages before."""

    job_variants_id: UUID
    job_id: UUID
    img_asset_id: UUID | None
    creation_order: int
    created_at: datetime
    image_url: str | None
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
class StageOutput:
    """What a stage leaves: its value, at most one picture, what was asked of a model; the last one a verdict too."""

    value: Value
    latency_ms: float
    artifact_url: str | None = None
    request: dict[str, Any] = field(default_factory=dict)
    verdict: Verdict | None = None


@dataclass(frozen=True)
class JobProgress:
    """How many variants of a job are complete, failed, and there; and the job's status now."""

    complete: int
    failed: int
    total: int
    job_status: str | None


@dataclass(frozen=True)
class StartableVariant:
    """A variant that waits for a run, the stage that run starts at, and the run that brought it where it is."""

    job_variants_id: UUID
    job_id: UUID
    tenant_id: str | None
    current_step: str
    status: str
    state_revision: int
    retry_count: int
    held_by: str | None
    turn: int
    start_stage: str


@dataclass(frozen=True)
class RunningVariant:
    """A variant that a run has claimed."""

    job_variants_id: UUID
    current_step: str
    claimed_by: str | None


class Database:
    """One per process. Every method is one transaction; none is open while the caller works."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _engine(self) -> Engine:
        engine = create_engine(
            self._url, pool_size=2, max_overflow=2, connect_args={"connect_timeout": _CONNECTED_WITHIN_S}
        )
        ping_rested_connections(engine)
        return engine

    def begin_stage(self, variant: UUID, stage: str, run_id: str, *, ended_run: str | None = None) -> str | None:
        """Claims the variant and commits `running`; or returns the run that holds it.

        A caller who knows that the holder has ended names it as `ended_run`.
        Raises UnknownVariant, NotReady or ClaimLost.
        """
        holder = self._one("begin_stage", variant=str(variant), stage=stage, run=run_id, ended_run=ended_run)[0]
        return None if holder is None else str(holder)

    def load_variant(self, variant: UUID) -> Variant:
        return Variant(**self._one("load_variant", variant=str(variant))._mapping)

    def finish_stage(self, variant: Variant, stage: str, run_id: str, output: StageOutput) -> None:
        """Stores the result and `done` in one transaction. Raises ClaimLost when the run no longer holds the stage."""
        key = str(variant.job_variants_id)
        with _refusals(), self._engine.begin() as connection:
            revision = connection.execute(
                named("finish_stage"), {"variant": key, "stage": stage, "run": run_id}
            ).scalar_one()
            connection.execute(
                named(SAVE_QUERIES[stage]),
                {
                    "variant": key,
                    "job": str(variant.job_id),
                    "image": None if variant.img_asset_id is None else str(variant.img_asset_id),
                    "stage": stage,
                    "result": output.value.model_dump_json(),
                    "artifact_url": output.artifact_url,
                    "request": json.dumps(output.request),
                    "latency_ms": round(output.latency_ms, 1),
                    "revision": revision,
                },
            )
            if output.verdict is not None:
                written = {"variant": key, "verdict": output.verdict.model_dump_json()}
                connection.execute(named("save_verdict"), written)

    def fail_stage(self, variant: UUID, stage: str, run_id: str, message: str, *, final: bool) -> bool:
        """Records the error; a final one ends the variant. False when the run no longer holds the stage."""
        return bool(
            self._one("fail_stage", variant=str(variant), stage=stage, run=run_id, message=message, final=final)[0]
        )

    def complete_variant(self, variant: UUID) -> JobProgress:
        """Verifies the variant, marks it complete and completes its job when it was the last. Idempotent."""
        return JobProgress(**self._one("complete_variant", variant=str(variant))._mapping)

    def startable_variants(self, in_flight: Collection[UUID], most: int) -> list[StartableVariant]:
        """Variants that wait for a run and have none in flight; tenants take turns, the longest waiting first."""
        rows = self._all("find_startable_variants", in_flight=[str(key) for key in in_flight], most=most)
        return [StartableVariant(**row._mapping) for row in rows]

    def any_startable(self) -> bool:
        """Whether any variant waits for a run or is between two stages of one."""
        return bool(self._one("any_startable_variant")[0])

    def request_variants(
        self, variants: Collection[StartableVariant], sensor: str, *, kept_s: float = 60.0
    ) -> set[UUID]:
        """Those of the variants whose runs this sensor is to ask for; another has taken the rest, `kept_s` long."""
        if not variants:
            return set()
        rows = self._all(
            "request_variants",
            variants=[str(variant.job_variants_id) for variant in variants],
            revisions=[variant.state_revision for variant in variants],
            sensor=sensor,
            kept_s=kept_s,
        )
        return {row.job_variants_id for row in rows}

    def listening(self, *, stopping: Callable[[], bool] = lambda: False) -> Listening:
        """Waits for changes of variants, on a connection of its own, unless `stopping` says that there is no time."""
        return Listening(self._url, stopping=stopping)

    def notify_shutdown(self) -> None:
        """Ends the wait of everybody who listens."""
        self._one("notify_shutdown")

    def running_variants(self, older_than_s: float, most: int) -> list[RunningVariant]:
        """Variants in work for at least so many seconds, oldest first."""
        rows = self._all("find_running_variants", older_than_s=older_than_s, most=most)
        return [RunningVariant(**row._mapping) for row in rows]

    def unsettled_jobs(self, most: int) -> list[UUID]:
        """Jobs handed over to us whose variants have all ended, but which are neither done nor failed."""
        return [row.job_id for row in self._all("find_unsettled_jobs", most=most)]

    def settle_job(self, job: UUID) -> JobProgress:
        return JobProgress(**self._one("settle_job", job=str(job))._mapping)

    def recover_stage(self, variant: UUID, ended_run: str | None) -> str:
        """Sets right what an ended run left running: 'completed', 'restarted', 'failed' or 'moved on'."""
        return str(self._one("recover_stage", variant=str(variant), ended_run=ended_run)[0])

    def end_terminated_stage(self, variant: UUID, ended_run: str) -> bool:
        return bool(self._one("end_terminated_stage", variant=str(variant), ended_run=ended_run)[0])

    def requeue_variant(self, variant: UUID, state_revision: int) -> bool:
        """Asks for a new run of a startable variant, if its pause since the last try is over."""
        return bool(self._one("requeue_variant", variant=str(variant), state_revision=state_revision)[0])

    def ended_variants(self, variants: Collection[UUID]) -> dict[UUID, datetime | None]:
        """Those of the variants that have ended, with when; None for those that have no row any more."""
        rows = self._all("find_ended_variants", variants=[str(key) for key in variants])
        return {row.job_variants_id: row.ended_at for row in rows}

    def used_pictures(self, urls: Collection[str]) -> set[str]:
        """Those of the URLs that a row refers to."""
        return {row.url for row in self._all("find_used_pictures", urls=list(urls))}

    def order_parallel(self, variants: int) -> None:
        """Records how many variants people want to run at a time, 1 or more."""
        self._one("order_parallel", variants=variants)

    def parallel_order(self) -> tuple[int, str] | None:
        """How many variants people last wanted to run at a time, and when they said so."""
        rows = self._all("parallel_order")
        return (rows[0].variants, rows[0].ordered_at.isoformat()) if rows else None

    def close(self) -> None:
        self._engine.dispose()

    def _one(self, query: str, **parameters: object) -> Row[Any]:
        with _refusals(), self._engine.begin() as connection:
            return connection.execute(named(query), parameters).one()

    def _all(self, query: str, **parameters: object) -> list[Row[Any]]:
        with _refusals(), self._engine.begin() as connection:
            return list(connection.execute(named(query), parameters))


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        refusal = _REFUSALS.get(getattr(error.orig, "pgcode", None) or "")
        if refusal is None:
            raise
        diagnostics = error.orig.diag  # type: ignore[union-attr]
        raise refusal(". ".join(filter(None, (diagnostics.message_primary, diagnostics.message_hint)))) from None
