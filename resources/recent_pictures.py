"""The pictures that a process used last: a run reads the same image and the same ad in most of its stages."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""A picture (height, width, 3) or a mask (height, width)."""


class RecentPictures:
    """The pictures used last, of at most `most_bytes` together. Safe for threads."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._pictures: OrderedDict[str, Pixels] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Pixels | None:
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)

    def keep(self, key: str, picture: Pixels) -> Pixels:
        """The picture as everybody gets it from now on: read-only, because they share it."""
        kept = picture.copy() if picture.flags.writeable else picture
        kept.setflags(write=False)
        with self._lock:
            self._pictures[key] = kept
            self._pictures.move_to_end(key)
            while sum(each.nbytes for each in self._pictures.values()) > self._most_bytes:
                self._pictures.popitem(last=False)
        return kept
