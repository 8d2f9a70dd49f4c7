"""Stands for a daemon: `python -m testing.forking.launching RUN_ID` launches the run and lives on."""

import sys
import time

import dagster as dg

if __name__ == "__main__":
    with dg.DagsterInstance.get() as instance:
        instance.launch_run(sys.argv[1], None)  # type: ignore[arg-type]
        time.sleep(120)
