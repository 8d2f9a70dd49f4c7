"""How busy the machine is, as far as that can slow the variants down or end them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import psutil


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
        *_gpu_memory(),
    ]


def runs_on_gpu(device: str) -> bool:
    """Whether a model with this device setting runs on a GPU; `auto` takes one where there is one."""
    return any(_gpu_memory()) if device == "auto" else device != "cpu"


def _gpu_memory() -> Iterator[Load]:
    try:
        import pynvml
    except ModuleNotFoundError:
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        # The library is installed with the models, also where there is no GPU.
        return
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            memory = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(index))
            percent = 100.0 * float(memory.used) / float(memory.total)
            yield Load(f"memory of GPU {index}", percent, calm=85.0, pressed=95.0, unit=" %")
    finally:
        pynvml.nvmlShutdown()
