"""Functions for a fork server to call before its first fork."""

import os
import threading


def mark() -> None:
    """Leaves a mark that every forked run can see."""
    os.environ["PRELOADED"] = f"yes, with {os.environ['OMP_NUM_THREADS']} thread"


def fail() -> None:
    raise FileNotFoundError("the weights are not there")


def leave_a_thread() -> None:
    threading.Thread(target=threading.Event().wait, name="left behind", daemon=True).start()
