"""Weights are loaded once per process, at first use, however many threads ask for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class LoadedOnce(Generic[T]):
    """`load` runs at most once, unless it raises; `at_once` users at a time work with what it loaded."""

    def __init__(self, load: Callable[[], T], *, at_once: int = 1) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(at_once)
        self._loaded: list[T] = []

    def get(self) -> T:
        if not self._loaded:
            with self._lock:
                if not self._loaded:
                    self._loaded.append(self._load())
        return self._loaded[0]

    @contextmanager
    def in_use(self) -> Iterator[T]:
        """What was loaded, with a place on its device."""
        loaded = self.get()
        with self._places:
            yield loaded
