"""What one stage may take: so much time, and so much memory. What it takes more ends it, and its variant."""

from __future__ import annotations

import faulthandler
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.values import StageError

# The thread below cannot work while a library holds Python's lock; then the process is ended without a reason.
_GRACE_S = 15.0
_STATM = Path("/proc/self/statm")


@contextmanager
def within_time(stage: str, most_s: float, end_worker: Callable[[str], None]) -> Iterator[None]:
    """Calls `end_worker` with the reason, in another thread, when the block takes longer than `most_s`.

    `end_worker` must end this process. If nothing in Python can work any more, the process is ended all the same.
    """
    why = (
        f"{stage} took more than {most_s:g} s, so its worker was ended; look at the image and the copy, or raise"
        " STAGE_DEADLINE_S or, for a model that is not embedded, MODEL_DEADLINE_S"
    )
    overdue = threading.Timer(most_s, end_worker, [why])
    overdue.daemon = True
    overdue.start()
    # To descriptor 2, which is the compute log while an asset runs.
    faulthandler.dump_traceback_later(most_s + _GRACE_S, file=2, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        overdue.cancel()


@contextmanager
def within_memory(stage: str, most_mb: int) -> Iterator[None]:
    """Lets the process take so many MB more than it has now; 0 is no limit. Raises StageError when they are not enough.

    It is the address space (RLIMIT_AS) that is limited.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if most_mb:
        resource.setrlimit(resource.RLIMIT_AS, (_least(_address_space() + most_mb * 1_000_000, soft, hard), hard))
    try:
        yield
    except MemoryError as error:
        raise StageError(
            f"{stage} needed more memory than there is or STAGE_MEMORY_MB={most_mb} allows; use a smaller image, or"
            " raise the setting"
        ) from error
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _least(*limits: int) -> int:
    return min(limit for limit in limits if limit != resource.RLIM_INFINITY)


def _address_space() -> int:
    return int(_STATM.read_text().split()[0]) * resource.getpagesize()
