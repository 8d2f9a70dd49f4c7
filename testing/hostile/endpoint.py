"""A model server that is an attacker: it drips, floods, packs, redirects and never ends."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial

import numpy as np

from resources.vlm.endpoint import EndpointSettings, EndpointVision, ModelUnavailable
from testing.hostile.attacks import Attack, NotHeld

_TIMEOUT_S = 0.5
_PICTURE = np.full((40, 60, 3), (200, 30, 30), dtype=np.uint8)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_ENDLESS = _HEAD + b"Content-Length: 1000000000\r\n\r\n"
_PASSWORD = "s3cret-of-the-shop"
Behaviour = Callable[[socket.socket], None]


class HostileServer:
    """Reads each request and then does to the connection what `behaviour` does."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.requests = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        # Closed at the end.
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        # The client hangs up, as it must.
        with suppress(OSError), connection:
            connection.recv(65_536)
            self.requests += 1
            self._behaviour(connection)


def endpoint_attacks() -> Iterator[Attack]:
    for name, behaviour in _BEHAVIOURS.items():
        yield Attack("endpoint", name, partial(_refused, behaviour), most_s=2.5, most_mb=60)
    for status in (301, 302, 307, 308):
        yield Attack("endpoint", f"redirects with {status}", partial(_stays_there, status), most_s=2.5)
    yield Attack("endpoint", "proxies in the environment", _takes_no_proxy, most_s=2.5)
    yield Attack("endpoint", "a password in the URL", _keeps_the_password, most_s=2.5)


def _drip(start: bytes, connection: socket.socket) -> None:
    """One byte at a time, for ever."""
    connection.sendall(start)
    while True:
        connection.sendall(b"a")
        time.sleep(0.05)


def _flood(start: bytes, block: bytes, connection: socket.socket) -> None:
    connection.sendall(start)
    for _ in range(1_000_000_000 // len(block)):
        connection.sendall(block)


def _say(content: bytes, connection: socket.socket) -> None:
    connection.sendall(content)


def _wait(connection: socket.socket) -> None:
    # Until the client hangs up.
    connection.recv(1)


def _whole(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@cache
def _packed() -> bytes:
    """100 MB of zeros, which become 0.1 MB."""
    packing = zlib.compressobj(wbits=31)
    return b"".join([*(packing.compress(b"\0" * 1_000_000) for _ in range(100)), packing.flush()])


_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_LONG_ERROR = json.dumps({"error": {"message": "x" * 3_000_000}}).encode()
_BEHAVIOURS: dict[str, Behaviour] = {
    "never answers": _wait,
    "drips its answer": partial(_drip, _ENDLESS),
    "drips its headers": partial(_drip, _HEAD + b"X-Drip: "),
    "answers with 1 GB": partial(_flood, _ENDLESS, b" " * 1_000_000),
    "answers with 1 GB in chunks": partial(_flood, _CHUNKED, b"a\r\n          \r\n" * 10_000),
    "has headers without end": partial(_flood, _HEAD, b"X-More: " + b"x" * 1_000 + b"\r\n"),
    "packs 100 MB": lambda connection: connection.sendall(_whole(_packed(), "200 OK", "Content-Encoding: gzip")),
    "asks to wait an hour": partial(_say, _whole(b"{}", "429 Too Many Requests", "Retry-After: 3600")),
    "has an error of 3 MB": partial(_say, _whole(_LONG_ERROR, "500 Internal Server Error")),
    "nests a million lists": partial(_say, _whole(b"[" * 1_000_000)),
    "speaks no HTTP": partial(_say, b"SSH-2.0-OpenSSH_9\r\n"),
    "answers with no JSON": partial(_say, _whole(b"<html>")),
    "answers with a list": partial(_say, _whole(b"[]")),
    "hangs up": partial(_say, b""),
}


@contextmanager
def _serving(behaviour: Behaviour) -> Iterator[HostileServer]:
    server = HostileServer(behaviour)
    try:
        yield server
    finally:
        server.close()


def _error(url: str) -> str:
    vision = EndpointVision(EndpointSettings(url, "m", "none", timeout_s=_TIMEOUT_S, retries=1))
    try:
        vision.analyze(_PICTURE, "coffee")
    except ModelUnavailable as error:
        if len(str(error)) > 6_000:
            raise NotHeld(f"an error of {len(str(error)):,} characters") from None
        return str(error)
    raise NotHeld("its answer was taken")


def _refused(behaviour: Behaviour) -> str:
    with _serving(behaviour) as server:
        _error(f"http://127.0.0.1:{server.port}/v1")
        if not server.requests:
            raise NotHeld("the server was never asked")
    return "refused"


def _stays_there(status: int) -> str:
    with _serving(partial(_say, _whole(b"{}"))) as other:
        there = _whole(b"", f"{status} Elsewhere", f"Location: http://127.0.0.1:{other.port}/v1/chat/completions")
        with _serving(partial(_say, there)) as server:
            _error(f"http://127.0.0.1:{server.port}/v1")
        if other.requests:
            raise NotHeld("it went there")
    return "refused"


def _takes_no_proxy() -> str:
    with _serving(partial(_say, _whole(b"{}"))) as proxy, _serving(_wait) as server:
        names = ("HTTP_PROXY", "http_proxy", "ALL_PROXY")
        before = {name: os.environ.get(name) for name in names}
        os.environ.update(dict.fromkeys(names, f"http://127.0.0.1:{proxy.port}"))
        try:
            _error(f"http://127.0.0.1:{server.port}/v1")
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                os.environ.update({name: value} if value is not None else {})
        if proxy.requests or not server.requests:
            raise NotHeld("the request went to the proxy")
    return "ignored"


def _keeps_the_password() -> str:
    with _serving(partial(_say, b"")) as server:
        url = f"http://shop:{_PASSWORD}@127.0.0.1:{server.port}/v1"
        settings = EndpointSettings(url, "m", "none")
        said = [_error(url), repr(settings), EndpointVision(settings).info.model_dump_json()]
        if any(_PASSWORD in text for text in said):
            raise NotHeld("it was printed")
    return "kept"
