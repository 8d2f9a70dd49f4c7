"""The sensors that start a run for every variant that waits for one.

After a tick that requested runs, Dagster evaluates the same sensor again only some seconds later. So that a new variant
does not wait these seconds, there are several copies of the sensor and one lock in the database, which one copy at a
time holds. Every copy starts to listen for notifications and then waits for the lock. The copy that gets it reads the
table, waits for a change, requests the runs and ends its tick, which frees the lock. The next copy gets the lock at
once, and it has been listening all the while.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import dagster as dg

from orchestration.fair_queue import FairQueue
from resources.images import ImageStore
from resources.postgres.database import Database
from resources.postgres.notifier import Listener, ListenError, WaitEnd
from resources.postgres.values import RequestedVariant
from resources.settings import MOST_SENSOR_COPIES
from resources.wiring import SensorSettings
from stages.pipeline import STAGE_NAMES
from variant_assets.job import variant_pipeline
from variant_assets.partitions import job_variants
from variant_assets.recovery import end_or_requeue_unbegun, end_terminated, recover_left_running
from variant_assets.runs import (
    SENSOR_TAG,
    run_key,
    runs_by_key,
    terminated,
    unfinished_runs,
    variants_of,
)

# The most runs that one tick requests; the other variants wait for the next tick, a moment later. Dagster creates the
# runs of a tick one after another, which takes long on an overloaded machine.
MOST_PER_TICK = 25
# While so many requested runs have not ended, the other variants wait in the table, where waiting costs nothing: at
# each start of a run Dagster's whole queue is read. More than one machine runs at a time.
MOST_IN_FLIGHT = 50
# The queue takes the runs of different tenants in turn.
TENANT_TAG = "job_variants/tenant_id"

_STOPS = "The service stops, or its daemon was started again."

logger = logging.getLogger(__name__)

StoreTrouble = Callable[[], str | None]


def _no_trouble() -> None:
    return None


@dataclass(frozen=True)
class TickTimeouts:
    """How long a tick waits, in seconds. Dagster ends a tick after 60."""

    tick_s: float = 40.0
    # Dagster evaluates a copy that did not get the lock again within 5 s. A copy gives up more than 5 s before the tick
    # of the lock's holder ends, so that it waits again when the lock becomes free.
    lock_s: float = 32.0
    # Notifications are only hints: the table is read at least this often.
    poll_s: float = 1.0
    # The variants of a job are committed one after another. A tick that waits this long finds them together.
    batch_s: float = 0.03


def _copy(number: int) -> dg.SensorDefinition:
    name = "new_variants" if number == 1 else f"new_variants_{number}"

    @dg.sensor(
        name=name,
        job=variant_pipeline,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a run for every variant that is done at img_gen, or that waits at a later stage."
        f" Copy {number} of {MOST_SENSOR_COPIES}; one at a time waits for new variants.",
    )
    def sensor(
        context: dg.SensorEvaluationContext,
        db: dg.ResourceParam[Database],
        images: dg.ResourceParam[ImageStore],
        sensor_settings: SensorSettings,
    ) -> dg.SensorResult:
        copies = sensor_settings.copies
        if number > max(copies, 1):
            return dg.SensorResult(skip_reason=f"SENSOR_COPIES={copies} leaves this copy out.")
        if copies == 0:
            return request_waiting_variants(context.instance, db, name, images.trouble)
        return wait_and_request(context, db, name, images.trouble)

    return sensor


def wait_and_request(
    context: dg.SensorEvaluationContext,
    db: Database,
    sensor: str,
    store_trouble: StoreTrouble = _no_trouble,
    timeouts: TickTimeouts | None = None,
) -> dg.SensorResult:
    """One tick of a copy: waits for the lock, then for variants. Where it cannot listen, it only reads the table."""
    timeouts = timeouts or TickTimeouts()
    give_up_s = time.monotonic() + timeouts.tick_s
    try:
        with db.listener(stopping=_interpreter_ends()) as listener:
            if listener.acquire_lock(timeouts.lock_s):
                look = partial(request_waiting_variants, context.instance, db, sensor, store_trouble)
                return _request_when_one_waits(look, listener, give_up_s, timeouts)
    except ListenError as error:
        context.log.warning(f"{error}; the table is read instead")
    return request_waiting_variants(context.instance, db, sensor, store_trouble)


def _request_when_one_waits(
    look: Callable[[], dg.SensorResult], listener: Listener, give_up_s: float, timeouts: TickTimeouts
) -> dg.SensorResult:
    # A tick that waited for the lock while its daemon died has nobody to tell what it requests.
    if listener.wait(0) is WaitEnd.SHUTDOWN:
        return dg.SensorResult(skip_reason=_STOPS)
    while True:
        result = look()
        left_s = give_up_s - time.monotonic()
        if result.run_requests or left_s <= 0:
            return result
        end = listener.wait(min(left_s, timeouts.poll_s))
        if end is WaitEnd.CHANGE:
            time.sleep(timeouts.batch_s)
        if end is WaitEnd.SHUTDOWN:
            return dg.SensorResult(skip_reason=_STOPS)


def request_waiting_variants(
    instance: dg.DagsterInstance, db: Database, sensor: str, store_trouble: StoreTrouble = _no_trouble
) -> dg.SensorResult:
    """Reads the table once, repairs what ended runs left behind, and requests the runs of the variants that wait.

    Other sensors get other variants. While the store of the pictures is in trouble, all variants wait.
    """
    _say(recover_left_running(db, instance))
    # Nearly always nothing waits, and then it is not worth asking Dagster which runs are in flight.
    if not db.run_requests.any_startable():
        return dg.SensorResult(skip_reason="No variant waits.")
    if (trouble := store_trouble()) is not None:
        return dg.SensorResult(skip_reason=f"All variants wait: {trouble}.")
    unfinished = unfinished_runs(instance, datetime.now(UTC))
    in_flight = {variant for run in unfinished for variant in variants_of(run)}
    _say(end_terminated(db, instance, in_flight))
    _say(end_or_requeue_unbegun(db, instance, in_flight))
    if sum(SENSOR_TAG in run.tags for run in unfinished) >= MOST_IN_FLIGHT:
        return dg.SensorResult(skip_reason=f"{len(in_flight)} in flight; the other variants wait for them.")
    requested = db.run_requests.request_startable(sensor, in_flight, most=MOST_PER_TICK)
    to_run = _without_ended_runs(instance, db, requested, sensor)
    if not to_run:
        return dg.SensorResult(skip_reason=f"No variant waits; {len(in_flight)} in flight.")
    fair_queue = FairQueue.of(TENANT_TAG, unfinished)
    return dg.SensorResult(
        run_requests=[run_request(variant, fair_queue) for variant in to_run],
        dynamic_partitions_requests=[
            job_variants.build_add_request([str(variant.job_variants_id) for variant in to_run])
        ],
    )


def _say(lines: list[str]) -> None:
    for line in lines:
        logger.info(line)


def _without_ended_runs(
    instance: dg.DagsterInstance, db: Database, requested: list[RequestedVariant], sensor: str
) -> list[RequestedVariant]:
    """Leaves out what only Dagster knows: runs that an operator terminated, and states that already have a run.

    Only a state that was requested before can have a run. If that run is over, this is recorded, and the state is not
    found again. A run that Dagster created but never submitted is submitted when the same sensor requests it again.
    """
    # An operator terminated the run since the look at the beginning: the next look fails such a variant.
    terminated_runs = terminated(instance, {variant.held_by for variant in requested if variant.held_by})
    runs = runs_by_key(instance, [run_key(variant) for variant in requested if variant.requested_before])
    to_run = []
    for variant in requested:
        run = runs.get(run_key(variant))
        if run is not None and run.is_finished:
            db.run_requests.record_outcome(variant, "ended")
        elif variant.held_by not in terminated_runs and (run is None or _is_resubmitted(run, sensor)):
            to_run.append(variant)
    return to_run


def _is_resubmitted(run: dg.DagsterRun, sensor: str) -> bool:
    """Dagster submits this run when the sensor requests it again."""
    return run.status is dg.DagsterRunStatus.NOT_STARTED and run.tags.get(SENSOR_TAG) == sensor


def run_request(variant: RequestedVariant, fair_queue: FairQueue) -> dg.RunRequest:
    """One run for one variant, from the stage it waits for to the last, at its tenant's next place in the queue."""
    left = STAGE_NAMES[STAGE_NAMES.index(variant.start_stage) :]
    return dg.RunRequest(
        run_key=run_key(variant),
        partition_key=str(variant.job_variants_id),
        # The job as a whole is built already; of a selection each run builds a job of its own.
        asset_selection=None if left == STAGE_NAMES else [dg.AssetKey(name) for name in left],
        tags={
            "job_variants/job_id": str(variant.job_id),
            "job_variants/from": f"{variant.current_step}, {variant.status}",
            **fair_queue.tags_of_next(variant.tenant_id or "none"),
        },
    )


def _interpreter_ends() -> Callable[[], bool]:
    """Returns a function that tells whether this Python process is shutting down. Then no thread pool accepts work.

    Dagster evaluates sensors in a thread pool, and the process ends only when this tick has ended.
    """

    def ends() -> bool:
        try:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(int)
        except RuntimeError:
            return True
        return False

    return ends


new_variants, *more_new_variants = (_copy(number) for number in range(1, MOST_SENSOR_COPIES + 1))
