"""Programs of Debian that tests start: those of the machine, or those that `scripts/setup test` has unpacked."""

from __future__ import annotations

import os
import shutil

from resources.settings import PROJECT

_UNPACKED = PROJECT / ".venv" / "debian"


def program(name: str) -> str:
    """The path of the program."""
    folders = [str(_UNPACKED / "usr" / kind) for kind in ("bin", "sbin")]
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ["PATH"], "/usr/sbin"]))
    assert found is not None, f"there is no {name}; run `scripts/setup test`"
    return found


def libraries() -> dict[str, str]:
    """The variable with which an unpacked program finds the libraries that were unpacked with it."""
    return {"LD_LIBRARY_PATH": str(_UNPACKED / "usr" / "lib" / "x86_64-linux-gnu")}
