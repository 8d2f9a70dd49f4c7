"""Where the small models made here are kept from one run to the next."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resources.settings import PROJECT

CACHE = PROJECT / ".service" / "test-models"


def prepare_libraries() -> None:
    """Keeps the model libraries off the network and their settings in the cache; to be called before their import."""
    (CACHE / "ultralytics").mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("YOLO_CONFIG_DIR", str(CACHE / "ultralytics"))
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", HF_HUB_OFFLINE="1")


@contextmanager
def one_maker(cache: Path, name: str) -> Iterator[None]:
    """Lets one process at a time make the model of this name; the others wait and then find it made."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
