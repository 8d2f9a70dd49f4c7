"""A real Chromium without a window, steered over its DevTools protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

_STARTED_WITHIN_S = 60.0
_ANSWERED_WITHIN_S = 60.0
_NAMES = ("chromium", "google-chrome")


class BrowserError(Exception):
    """Chromium is not installed, does not start, or a script in a page failed."""


class Browser:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = count(1)
        self._loaded: set[str] = set()
        self._command("Page.enable")
        self._command("Page.setLifecycleEventsEnabled", enabled=True)

    def open(self, url: str) -> None:
        """Opens an address as if it were typed, and waits until the page and all it names have loaded."""
        answer = self._command("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        while answer["loaderId"] not in self._loaded:
            self._receive()

    def follow(self, url: str) -> None:
        """Follows a link from the page that is open, and waits until the next page has loaded."""
        self._loaded.clear()
        self.evaluate(f"void setTimeout(() => {{ location = {json.dumps(url)}; }})")
        while not self._loaded:
            self._receive()

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page, awaited if it is a promise. Raises BrowserError."""
        answer = self._command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{answer['exceptionDetails']} in {script}")
        return answer["result"].get("value")

    def text(self) -> str:
        """What a person reads on the page."""
        return str(self.evaluate("document.body.innerText"))

    def refused_frames(self) -> list[str]:
        """The addresses of frames in the page that the browser did not show."""
        tree = self._command("Page.getFrameTree")["frameTree"]
        frames = [child["frame"] for child in tree.get("childFrames", [])]
        return [frame["unreachableUrl"] for frame in frames if "unreachableUrl" in frame]

    def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := self._receive()).get("id") != number:
            pass
        if "error" in message:
            raise BrowserError(f"{method}: {message['error']}")
        answer: dict[str, Any] = message["result"]
        return answer

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv(timeout=_ANSWERED_WITHIN_S))
        if message.get("method") == "Page.lifecycleEvent" and message["params"]["name"] == "load":
            self._loaded.add(message["params"]["loaderId"])
        return message


@contextmanager
def chromium(names: Mapping[str, str] | None = None) -> Iterator[Browser]:
    """A fresh browser that trusts any certificate; it finds the host names of `names` at the addresses given there."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        raise BrowserError("there is no Chromium; run `scripts/setup test`")
    rules = ", ".join(f"MAP {name} {address}" for name, address in (names or {}).items())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            *(program, "--headless=new", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"),
            *("--remote-debugging-port=0", f"--user-data-dir={profile}", f"--host-resolver-rules={rules}"),
            "--ignore-certificate-errors",
            # One process for all sites, so that frames of other sites are in the page's tree.
            *("--disable-site-isolation-trials", "--disable-features=IsolateOrigins,site-per-process"),
            # Chromium's own sandbox does not work for root.
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            "about:blank",
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                with connect(_page(_debugging_port(Path(profile), process)), max_size=None) as connection:
                    yield Browser(connection)
            finally:
                process.terminate()


def _debugging_port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    written = profile / "DevToolsActivePort"
    give_up_s = time.monotonic() + _STARTED_WITHIN_S
    while not written.exists() or "\n" not in written.read_text():
        if process.poll() is not None or time.monotonic() > give_up_s:
            raise BrowserError(f"{process.args!r} does not start")
        time.sleep(0.05)
    return int(written.read_text().splitlines()[0])


def _page(port: int) -> str:
    """The address of the tab that is open from the start."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=_ANSWERED_WITHIN_S) as answer:
        [page] = [each for each in json.load(answer) if each["type"] == "page"]
    return str(page["webSocketDebuggerUrl"])
