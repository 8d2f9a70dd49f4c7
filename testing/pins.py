"""The files of pinned packages, as tests read them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from resources.settings import PROJECT

FILES = ("constraints.txt", "constraints-models.txt", "constraints-torch.txt")
_PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[A-Za-z0-9.+!_-]+)(?P<digests>( --hash=sha256:[0-9a-f]{64})*)")


@dataclass(frozen=True)
class Pin:
    """One package with its version, and the SHA-256 of every file that may be installed."""

    name: str
    version: str
    digests: tuple[str, ...]


def pins(file: str) -> dict[str, Pin]:
    """The pins of one of the files, by package. Fails for a line that is nothing else."""
    text = (PROJECT / file).read_text().replace("\\\n    ", "")
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = _PIN.fullmatch(line)
        assert match is not None, line
        digests = tuple(match["digests"].replace("--hash=sha256:", "").split())
        found[match["name"]] = Pin(match["name"], match["version"], digests)
    return found
