"""A code location of jobs that end in every way, for the tests of what starts them."""

import os
import random
import signal
import sys
import time
from types import SimpleNamespace
from typing import Any

import dagster as dg
import numpy

if os.environ.get("FORKED_JOBS_CUDA"):
    modules: dict[str, Any] = sys.modules  # what an import does that touches the GPU
    modules["torch"] = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: True))


@dg.op
def quick(context: dg.OpExecutionContext) -> None:
    context.log.info(f"drew {random.random()}")
    context.log.info(f"numpy drew {numpy.random.random()}")


@dg.op
def shows_preloaded(context: dg.OpExecutionContext) -> None:
    context.log.info(f"preloaded: {os.environ.get('PRELOADED', 'no')}")


@dg.op
def slow() -> None:
    time.sleep(60)


@dg.op
def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dg.op
def crashed() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@dg.op
def left() -> None:
    sys.stderr.flush()
    os._exit(7)


@dg.op
def failed() -> None:
    raise ValueError("on purpose")


@dg.op(config_schema={"file": str})
def waits_for_file(context: dg.OpExecutionContext) -> None:
    while not os.path.exists(context.op_config["file"]):
        time.sleep(0.05)


@dg.op(pool="seats")
def seated() -> None:
    time.sleep(60)


def _job(op: dg.OpDefinition) -> dg.JobDefinition:
    graph = dg.GraphDefinition(name=f"{op.name}_job", node_defs=[op])
    return graph.to_job(executor_def=dg.in_process_executor)


_OPS = (quick, shows_preloaded, slow, killed, crashed, left, failed, waits_for_file, seated)
defs = dg.Definitions(jobs=[_job(op) for op in _OPS])
