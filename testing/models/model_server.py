"""A real `transformers serve` on 127.0.0.1, in a process of its own.

Run as a module it is that process: the command line of transformers, on machines whose torchvision needs help too.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from resources.settings import PROJECT
from testing.waiting import until

_START_S = 120.0


@contextmanager
def model_server(log: Path) -> Iterator[str]:
    """Its URL. It loads whichever model folder a request names; what it prints is appended to `log`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", __name__, "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT)
    try:
        health = f"http://127.0.0.1:{port}/health"
        until(
            "transformers serve answers",
            lambda: _answers(health, process, log),
            within_s=_START_S,
            every_s=0.1,
            details=lambda: _end_of(log),
        )
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"transformers serve ended with {process.returncode}:\n{_end_of(log)}")
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except (URLError, TimeoutError):
        return False


def _end_of(log: Path) -> str:
    return log.read_text()[-2000:]


if __name__ == "__main__":
    import torch

    from testing.models.cpu_torchvision import hide

    hide()
    torch.set_num_threads(1)
    from transformers.cli.transformers import main

    main()
