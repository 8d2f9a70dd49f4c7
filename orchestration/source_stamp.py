"""Whether source files have changed, read from their names, sizes and times."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from orchestration.fork_protocol import ForkServerError


class SourceStamp:
    """A number that changes when a source file below the folders is written, made, renamed or removed.

    The folders are read at most once in `every_s` seconds, however often the stamp is asked for.
    """

    def __init__(
        self,
        folders: Iterable[Path],
        suffixes: Collection[str],
        every_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = tuple(folders)
        self._suffixes = tuple(suffixes)
        self._every_s = every_s
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp = 0
        self._read_at_s = float("-inf")

    def current(self) -> int:
        with self._lock:
            if self._clock() - self._read_at_s >= self._every_s:
                self._read_at_s = self._clock()
                self._stamp = hash(tuple(sorted(self._files())))
            return self._stamp

    def _files(self) -> Iterator[tuple[str, int, int]]:
        for folder in self._folders:
            for parent, folders, names in os.walk(folder):
                # Importing writes there.
                folders[:] = [name for name in folders if name != "__pycache__"]
                for name in names:
                    if name.endswith(self._suffixes):
                        yield from _file(os.path.join(parent, name))


def _file(path: str) -> Iterator[tuple[str, int, int]]:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        # It was removed since its folder was listed.
        return
    yield path, status.st_mtime_ns, status.st_size


def source_folders(module: str, folders: Collection[str]) -> list[Path]:
    """The folders to watch: relative ones lie beside the module's top-level package; without any it is that package.

    Raises ForkServerError where one is missing.
    """
    package = module.partition(".")[0]
    spec = find_spec(package)
    if spec is None:
        raise ForkServerError(f"there is no module {package}; correct the launcher's `module` in dagster.yaml")
    if spec.submodule_search_locations:
        own = Path(next(iter(spec.submodule_search_locations)))
        beside = own.parent
    else:
        own = beside = Path(str(spec.origin)).parent
    found = [beside / folder for folder in folders] or [own]
    if missing := [str(folder) for folder in found if not folder.is_dir()]:
        raise ForkServerError(f"{', '.join(missing)} does not exist; correct `source_folders` in dagster.yaml")
    return found
