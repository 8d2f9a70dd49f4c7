"""One stage of one variant inside Dagster: claim it, let the stage work, store its result or its error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from resources.images import ImageStore
from resources.postgres.database import Database
from resources.postgres.errors import StageRefused
from resources.postgres.values import variant_id
from stages.values import StageError
from variant_assets.stage_work import StageWork

RETRIES = dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


@contextmanager
def stage_run(context: dg.AssetExecutionContext, db: Database, images: ImageStore) -> Iterator[StageWork]:
    """Entering commits `running`; a clean exit commits result and `done` together; an error is recorded and raised.

    An interrupted worker records nothing: the rescuer asks Dagster whether an operator terminated the run.
    """
    stage = context.asset_key.to_user_string()
    try:
        key = variant_id(context.partition_key)
        _stop_if_terminated(context, db)
        _claim(context, db, stage)
    except StageRefused as refusal:
        raise dg.Failure(str(refusal), allow_retries=False) from refusal

    def record(error: Exception, *, final: bool) -> None:
        try:
            db.claims.fail(key, stage, context.run.run_id, _text(error), final=final)
        except SQLAlchemyError as unrecorded:
            error.add_note(f"This could not be recorded in jobs_variants: {unrecorded}")

    try:
        work = StageWork(db.claims.load(key), stage, images, context.add_asset_metadata)
        yield work
        db.claims.finish(work.variant, stage, context.run.run_id, work.output)
    except StageRefused as refusal:
        raise dg.Failure(str(refusal), allow_retries=False) from refusal
    except StageError as error:
        record(error, final=True)
        raise dg.Failure(_text(error), allow_retries=False) from error
    except Exception as error:
        _stop_if_terminated(context, db)
        record(error, final=context.retry_number >= RETRIES.max_retries)
        raise


def _claim(context: dg.AssetExecutionContext, db: Database, stage: str) -> None:
    key = variant_id(context.partition_key)
    holder = db.claims.begin(key, stage, context.run.run_id)
    if holder is not None and not _is_live(context.instance, holder):
        holder = db.claims.begin(key, stage, context.run.run_id, ended_run=holder)
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


def _is_live(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and not run.is_finished


def _text(error: Exception) -> str:
    """What stands in jobs_variants.error: the kind of an unforeseen error, and the message."""
    return str(error) if isinstance(error, StageError) else f"{type(error).__name__}: {error}"
