"""The sensor that lets fewer variants run at a time while the machine is short of something, and then more again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import dagster as dg

from orchestration.fork_launcher import fork_server_problem
from resources.postgres.database import Database
from resources.pressure import Load, measured
from resources.wiring import SensorSettings

POOL = "variants"
# Looks one after another, five seconds apart: short peaks change nothing, and going up is slower than going down.
PRESSED_TICKS = 2
CALM_TICKS = 6


@dataclass(frozen=True)
class Throttle:
    """What the sensor remembers: the people's limit, the one it has set itself, and for how many looks it was so."""

    ceiling: int
    limit: int
    pressed_ticks: int = 0
    calm_ticks: int = 0
    # When people last gave the limit by `make parallel`; the same number given again is an order, too.
    ordered_at: str = ""


@dataclass(frozen=True)
class Order:
    """What people gave as the limit, and when."""

    variants: int
    ordered_at: str


def decide(before: Throttle | None, actual: int, order: Order | None, loads: Sequence[Load]) -> tuple[Throttle, str]:
    """The next state, whose `limit` is to be set, and why. `actual` is the pool's limit as it is now.

    A limit that the sensor has not set, and every order, is the people's: it holds at once and is the new ceiling.
    """
    state = before or Throttle(actual, actual)
    if order is not None and order.ordered_at != state.ordered_at:
        return Throttle(order.variants, order.variants, ordered_at=order.ordered_at), f"{order.variants} were asked for"
    if actual != state.limit:
        return Throttle(actual, actual, ordered_at=state.ordered_at), f"somebody has set the limit to {actual}"
    pressed = [load for load in loads if load.is_pressed]
    if pressed:
        ticks = state.pressed_ticks + 1
        lower = ticks >= PRESSED_TICKS and state.limit > 1
        after = replace(state, limit=state.limit - lower, pressed_ticks=0 if lower else ticks, calm_ticks=0)
    elif all(load.is_calm for load in loads):
        ticks = state.calm_ticks + 1
        higher = ticks >= CALM_TICKS and state.limit < state.ceiling
        after = replace(state, limit=state.limit + higher, pressed_ticks=0, calm_ticks=0 if higher else ticks)
    else:
        after = replace(state, pressed_ticks=0, calm_ticks=0)
    return after, ", ".join(str(load) for load in pressed or loads) or "nothing was measured"


@dg.sensor(
    minimum_interval_seconds=4,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Lowers the limit of pool `variants` under load, and raises it again to what people have set.",
)
def throttle(
    context: dg.SensorEvaluationContext, db: dg.ResourceParam[Database], sensor_settings: SensorSettings
) -> dg.SensorResult:
    before = Throttle(**json.loads(context.cursor)) if context.cursor else None
    actual = pool_limit(context.instance)
    if actual is None:
        return dg.SensorResult(skip_reason=f"Pool {POOL} has no limit to lower.")
    ordered = db.maintenance.parallel_order()
    order = Order(*ordered) if ordered is not None else None
    if not sensor_settings.throttle:
        # What it has lowered itself it gives back.
        lowered = before is not None and actual == before.limit < before.ceiling
        after, why = (replace(before, limit=before.ceiling), "THROTTLE=off") if before and lowered else (before, "")
    else:
        after, why = decide(before, actual, order, measured())
    if after is None or after.limit == actual:
        said = f"{actual} at a time; {why}" if why else "THROTTLE=off"
    else:
        context.instance.event_log_storage.set_concurrency_slots(POOL, after.limit)
        said = f"{after.limit} at a time instead of {actual}; {why}"
        context.log.info(said)
    if (problem := fork_server_problem(context.instance)) is not None:
        # People look here when variants are slow.
        said = f"{said}; {problem}"
    return dg.SensorResult(skip_reason=said, cursor=json.dumps(asdict(after)) if after else None)


def pool_limit(instance: dg.DagsterInstance) -> int | None:
    """How many variants may run at a time now; None for as many as there are."""
    limits = {limit.name: limit.limit for limit in instance.event_log_storage.get_pool_limits()}
    return limits.get(POOL, instance.get_concurrency_config().pool_config.default_pool_limit)
