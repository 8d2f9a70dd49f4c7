"""How busy the machine is, as far as that can slow the variants down or end them."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil

from resources.loading.device import gpu_memory_percent


@dataclass(frozen=True)
class Load:
    """One figure, from where on it is too much, and up to where it is well again; between the two nothing changes."""

    what: str
    value: float
    calm: float
    pressed: float
    unit: str

    @property
    def is_pressed(self) -> bool:
        return self.value >= self.pressed

    @property
    def is_calm(self) -> bool:
        return self.value <= self.calm

    def __str__(self) -> str:
        return f"{self.what} {self.value:.1f}{self.unit} (too much from {self.pressed:g}, well up to {self.calm:g})"


def measured() -> list[Load]:
    """CPU, memory and, where NVIDIA's library is there, the memory of each GPU.

    A busy CPU or GPU is what the service is for; too much is when far more threads want to run than there are cores,
    or when memory runs out.
    """
    threads_per_core = os.getloadavg()[0] / len(os.sched_getaffinity(0))
    memory_percent = psutil.virtual_memory().percent
    return [
        Load("threads per core", threads_per_core, calm=2.0, pressed=4.0, unit=""),
        Load("memory", memory_percent, calm=80.0, pressed=92.0, unit=" %"),
        *(
            Load(f"memory of GPU {index}", percent, calm=85.0, pressed=95.0, unit=" %")
            for index, percent in enumerate(gpu_memory_percent())
        ),
    ]
