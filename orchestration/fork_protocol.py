"""What a launcher and its fork server send each other: JSON objects, one a line, over a pair of sockets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


class ForkServerError(Exception):
    """There is no fork server, or it did not start a worker; the message says why."""


@dataclass(frozen=True)
class ServerArguments:
    """What a fork server is started with."""

    module: str
    """The code location whose runs are forked."""
    preload: str | None
    """`module:function` that is called before the first fork."""
    instance_ref: str
    """Dagster's instance, as `serialize_value` writes it."""


def encoded(**message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"
