"""Which device a model runs on, and how full the memory of each GPU is."""

from __future__ import annotations


def runs_on_gpu(device: str) -> bool:
    """Whether a model with this device setting runs on a GPU; `auto` takes one where there is one."""
    return bool(gpu_memory_percent()) if device == "auto" else device != "cpu"


def gpu_memory_percent() -> list[float]:
    """The used share of each GPU's memory, in percent; empty where there is no GPU or no NVIDIA library."""
    try:
        import pynvml
    except ModuleNotFoundError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        # The library is installed with the models, also where there is no GPU.
        return []
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        memories = [pynvml.nvmlDeviceGetMemoryInfo(handle) for handle in handles]
        return [100.0 * float(memory.used) / float(memory.total) for memory in memories]
    finally:
        pynvml.nvmlShutdown()
