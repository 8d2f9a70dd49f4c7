"""One stage of one variant inside Dagster: claim it, let the stage work, store its result or its error."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import dagster as dg
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from resources.images import ImageStore
from resources.postgres.database import Database
from resources.postgres.errors import StageRefused
from resources.postgres.values import variant_id
from resources.store_trouble import StoreTroubleError
from resources.wiring import StageLimits
from stages.values import StageError
from stages.wording import MOST_MESSAGE, message_text
from variant_assets.completion import report_not_complete
from variant_assets.limits import within_memory, within_time
from variant_assets.runs import asked_revision
from variant_assets.stage_work import StageWork

# A run waits so long for pictures and database to be in order; then it ends, and its variant waits for another run.
ORDER_AWAITED_S = 20.0
_LOOKS_EVERY_S = 0.5
RETRIES = dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


@contextmanager
def stage_run(
    context: dg.AssetExecutionContext, db: Database, images: ImageStore, limits: StageLimits
) -> Iterator[StageWork]:
    """Entering commits `running`; a clean exit commits result and `done` together; an error is recorded and raised.

    Trouble of the pictures' store as a whole, and of the database, is not charged to the variant: the run waits for a
    while, and then gives the variant back. A stage that takes too long ends its worker and its variant.

    An interrupted worker records nothing: the rescuer asks Dagster whether an operator terminated the run.
    """
    stage = context.asset_key.to_user_string()
    try:
        key = variant_id(context.partition_key)
        _stop_if_terminated(context, db)
        _claim(context, db, stage)
    except StageRefused as refusal:
        raise dg.Failure(message_text(str(refusal)), allow_retries=False) from refusal

    def record(error: Exception, *, final: bool) -> None:
        try:
            if db.claims.fail(key, stage, context.run.run_id, _text(error), final=final) and final:
                report_not_complete(context, stage, _text(error))
        except SQLAlchemyError as unrecorded:
            error.add_note(f"This could not be recorded in jobs_variants: {unrecorded}")

    def end_worker(why: str) -> None:
        try:
            record(StageError(why), final=True)
            context.instance.report_run_failed(context.run, why)
        finally:
            os._exit(1)

    try:
        work = StageWork(db.claims.load(key), stage, images, context.add_asset_metadata)
        with within_time(stage, limits.deadline_s(stage), end_worker), within_memory(stage, limits.memory_mb(stage)):
            yield work
        db.claims.finish(work.variant, stage, context.run.run_id, work.output)
    except StageRefused as refusal:
        raise dg.Failure(message_text(str(refusal)), allow_retries=False) from refusal
    except Exception as error:
        is_last_try = context.retry_number >= RETRIES.max_retries
        if not isinstance(error, StageError):
            _stop_if_terminated(context, db)
        if (trouble := images.trouble_behind(error) or _trouble_of_database(error)) is not None:
            if not is_last_try and _is_in_order_soon(db, images):
                raise StoreTroubleError(trouble) from error
            _give_back(db, key, stage, context.run.run_id, trouble)
            raise dg.Failure(f"{trouble}; the variant waits until it is in order", allow_retries=False) from error
        if isinstance(error, StageError):
            record(error, final=True)
            raise dg.Failure(_text(error), allow_retries=False) from error
        record(error, final=is_last_try)
        if len(str(error)) > MOST_MESSAGE:
            # Dagster would store all of it, with the event.
            raise RuntimeError(_text(error)) from None
        raise


def _claim(context: dg.AssetExecutionContext, db: Database, stage: str) -> None:
    key = variant_id(context.partition_key)
    asked = asked_revision(context.run)
    holder = db.claims.begin(key, stage, context.run.run_id, asked_revision=asked)
    if holder is not None and not _is_live(context.instance, holder):
        holder = db.claims.begin(key, stage, context.run.run_id, ended_run=holder, asked_revision=asked)
    if holder is not None:
        raise StageRefused(
            f"variant {key} is being worked on by run {holder}; wait for that run or terminate it, then materialize"
            f" {stage} again"
        )


def _stop_if_terminated(context: dg.AssetExecutionContext, db: Database) -> None:
    """Ends the variant when an operator terminates the run: an interrupt that comes while a library is being imported
    is swallowed by it, or becomes an error of another kind."""
    run_id = context.run.run_id
    if context.instance.get_runs_count(dg.RunsFilter(run_ids=[run_id], statuses=[dg.DagsterRunStatus.CANCELING])):
        db.claims.end_terminated(variant_id(context.partition_key), run_id)
        raise dg.Failure(f"run {run_id} was terminated", allow_retries=False)


def _trouble_of_database(error: BaseException) -> str | None:
    """What the server or the connection to it suffered from, also a deadlock or a full disk; None for other errors."""
    return f"the database failed: {error.orig}" if isinstance(error, (OperationalError, InterfaceError)) else None


def _is_in_order_soon(db: Database, images: ImageStore) -> bool:
    give_up_s = time.monotonic() + ORDER_AWAITED_S
    while images.trouble() is not None or not db.answers():
        if time.monotonic() > give_up_s:
            return False
        time.sleep(_LOOKS_EVERY_S)
    return True


def _give_back(db: Database, variant: UUID, stage: str, run_id: str, trouble: str) -> None:
    # Without the database the variant stays running without a run, and the sensors start it again.
    with suppress(OperationalError, InterfaceError):
        db.claims.give_back(variant, stage, run_id, trouble)


def _is_live(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and not run.is_finished


def _text(error: Exception) -> str:
    """What stands in jobs_variants.error: the kind of an unforeseen error, and the message."""
    return str(error) if isinstance(error, StageError) else message_text(f"{type(error).__name__}: {error}")
