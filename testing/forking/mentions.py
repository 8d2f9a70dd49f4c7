"""What the daemon writes about a partition: a tick of a sensor that requested its run, and a backfill of it."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from testing.forking._dagster import (
    BulkActionStatus,
    ComputeIOType,
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    PartitionBackfill,
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
    SensorInstigatorData,
    TickData,
    TickStatus,
)


def record_tick(instance: dg.DagsterInstance, partition: str, run_id: str) -> None:
    """A tick that requested the run, what it logged, and the sensor's last run key."""
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("shop"), "shop"), "sensor")
    place = (origin.get_id(), origin.get_selector().get_id())
    if instance.get_instigator_state(*place) is None:
        instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING))
    state = instance.get_instigator_state(*place)
    assert state is not None
    instance.update_instigator_state(state.with_data(SensorInstigatorData(last_run_key=f"{partition}:7")))
    log_key = ["shop", "sensor", run_id]
    with instance.compute_log_manager.open_log_stream(log_key, ComputeIOType.STDERR) as stream:
        print(f"requested {partition}", file=stream)  # type: ignore[arg-type]
    tick = TickData(
        *(place[0], "sensor", InstigatorType.SENSOR, TickStatus.SUCCESS, 1.0),
        run_ids=[run_id],
        run_keys=[f"{partition}:7"],
        selector_id=place[1],
        log_key=log_key,
    )
    instance.create_tick(tick)


def record_backfill(instance: dg.DagsterInstance, name: str, partitions: Iterable[str]) -> None:
    """A backfill that is over."""
    over = BulkActionStatus.COMPLETED_SUCCESS
    instance.add_backfill(PartitionBackfill(name, over, False, {}, 1.0, partition_names=list(partitions)))
