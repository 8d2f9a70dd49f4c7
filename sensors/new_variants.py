"""The sensors that start a run for every variant that waits for one.

They are copies that hand over: each listens first, then waits for its turn. The one that has it reads the table, waits
for a change, asks for the runs and ends, and the next has the turn at once, so that somebody listens although Dagster
evaluates a sensor again only some seconds after it has asked for runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from orchestration.fair_queue import FairQueue
from resources.postgres.database import Database
from resources.postgres.notifier import Heard, Listening, ListeningLost
from resources.postgres.values import RequestedVariant
from resources.settings import MOST_SENSOR_COPIES
from resources.wiring import SensorSettings
from stages.pipeline import STAGE_NAMES
from variant_assets.job import variant_pipeline
from variant_assets.partitions import job_variants
from variant_assets.runs import (
    SENSOR_TAG,
    outcome,
    run_key,
    runs_by_key,
    terminated,
    unfinished_runs,
    variants_of,
)

# What one tick takes; more waits for the next tick, a moment later.
MOST_PER_TICK = 100
# The queue takes the runs of different tenants in turn.
TENANT_TAG = "job_variants/tenant_id"


@dataclass(frozen=True)
class TickTimeouts:
    """How long a tick waits, in seconds. Dagster ends one after 60."""

    tick_s: float = 40.0
    # Less than a tick by more than the 5 s of the sensor daemon's loop, so that whoever waited in vain waits again
    # before the turn becomes free.
    turn_s: float = 32.0
    # Notifications are only hints: the table is read as often as this.
    table_s: float = 2.0
    # The variants of a job are committed one after another, and a tick that waits a moment takes them together.
    together_s: float = 0.03


def _copy(number: int) -> dg.SensorDefinition:
    name = "new_variants" if number == 1 else f"new_variants_{number}"

    @dg.sensor(
        name=name,
        job=variant_pipeline,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a run for every variant that is done at img_gen, or that waits at a later stage."
        f" Copy {number} of {MOST_SENSOR_COPIES}, which hand over to one another.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, db: dg.ResourceParam[Database], sensor_settings: SensorSettings
    ) -> dg.SensorResult:
        copies = sensor_settings.copies
        if number > max(copies, 1):
            return dg.SensorResult(skip_reason=f"SENSOR_COPIES={copies} leaves this copy out.")
        if copies == 0:
            return request_waiting_variants(context.instance, db, name)
        return wait_and_request(context, db, name)

    return sensor


def wait_and_request(
    context: dg.SensorEvaluationContext, db: Database, sensor: str, patience: TickTimeouts | None = None
) -> dg.SensorResult:
    """One tick of a copy: its turn, the table, a wait, the table. Where nobody can listen it only reads the table."""
    patience = patience or TickTimeouts()
    give_up_s = time.monotonic() + patience.tick_s
    try:
        with db.listening(stopping=_interpreter_ends()) as listening:
            if listening.take_turn(patience.turn_s):
                return _turn(context.instance, db, sensor, listening, give_up_s, patience)
    except ListeningLost as lost:
        context.log.warning(f"{lost}; the table is read instead")
    return request_waiting_variants(context.instance, db, sensor)


def _turn(
    instance: dg.DagsterInstance,
    db: Database,
    sensor: str,
    listening: Listening,
    give_up_s: float,
    patience: TickTimeouts,
) -> dg.SensorResult:
    while True:
        result = request_waiting_variants(instance, db, sensor)
        left_s = give_up_s - time.monotonic()
        if result.run_requests or left_s <= 0:
            return result
        heard = listening.wait(min(left_s, patience.table_s))
        if heard is Heard.CHANGE:
            time.sleep(patience.together_s)
        if heard is Heard.STOP:
            return dg.SensorResult(skip_reason="The service stops.")


def request_waiting_variants(instance: dg.DagsterInstance, db: Database, sensor: str) -> dg.SensorResult:
    """Reads the table once and requests the runs of the variants that wait. Other sensors get other variants."""
    # Nearly always nothing waits, and then it is not worth asking Dagster which runs are in flight.
    if not db.run_requests.any_startable():
        return dg.SensorResult(skip_reason="No variant waits.")
    unfinished = unfinished_runs(instance, datetime.now(UTC))
    in_flight = {variant for run in unfinished for variant in variants_of(run)}
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


def _without_ended_runs(
    instance: dg.DagsterInstance, db: Database, requested: list[RequestedVariant], sensor: str
) -> list[RequestedVariant]:
    """Leaves out what only Dagster knows: runs that an operator terminated, and states that already have a run.

    Only a state that was requested before can have a run. If that run is over, this is recorded, and the state is not
    found again. A run that Dagster created but never submitted is submitted when the same sensor requests it again.
    """
    # An operator terminated the run between two stages: the rescuer fails such a variant.
    terminated_runs = terminated(instance, {variant.held_by for variant in requested if variant.held_by})
    runs = runs_by_key(instance, [run_key(variant) for variant in requested if variant.requested_before])
    to_run = []
    for variant in requested:
        run = runs.get(run_key(variant))
        if run is not None and run.is_finished:
            db.run_requests.record_outcome(variant, outcome(run))
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
    """Tells whether this process is shutting down: then no thread pool takes work any more, and waits for this tick."""

    def ends() -> bool:
        try:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(int)
        except RuntimeError:
            return True
        return False

    return ends


new_variants, *more_new_variants = (_copy(number) for number in range(1, MOST_SENSOR_COPIES + 1))
