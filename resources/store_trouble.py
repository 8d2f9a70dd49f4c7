"""Whether the folder of the pictures as a whole is in trouble, which is no fault of a single variant."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

# With less than this free, a picture may not find room.
_LEAST_FREE_BYTES = 64 << 20
# No space, quota, read-only, damaged or vanished file systems.
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE}


class StoreTroubleError(Exception):
    """The store of the pictures is in trouble; the message says which."""


def store_trouble(root: Path) -> str | None:
    """What is wrong with the folder; None if pictures can be read and written there. Writes a small file to see."""
    try:
        if not root.is_dir():
            return f"the asset root {root} is no folder; mount it or correct ASSET_ROOT"
        if not any(root.iterdir()):
            return f"the asset root {root} is empty, as a mount point is before it is mounted; mount it"
        state = os.statvfs(root)
        if state.f_flag & os.ST_RDONLY:
            return f"the asset root {root} is read-only"
        if state.f_bavail * state.f_frsize < _LEAST_FREE_BYTES:
            return f"the disk of the asset root {root} is full; make room"
        own = root / "yh"
        with tempfile.TemporaryFile(dir=own if own.is_dir() else root) as probe:
            probe.write(b"?")
    except OSError as error:
        return f"the asset root {root} cannot be used: {error}"
    return None


def trouble_behind(error: BaseException, root: Path) -> str | None:
    """The trouble of the store that this error comes from; None where it has another cause."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, StoreTroubleError):
            return str(cause)
    of_system = [cause for cause in causes if isinstance(cause, OSError)]
    if not of_system:
        return None
    of_disk = (f"the disk fails: {cause}" for cause in of_system if cause.errno in _OF_THE_DISK)
    return store_trouble(root) or next(of_disk, None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that it was raised for, also where the traceback leaves them out."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
