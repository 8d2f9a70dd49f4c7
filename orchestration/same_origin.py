"""ASGI middleware for a server without a login: only its own pages, and programs, may ask it anything.

A page of another site can make its visitor's browser send requests to a server on the visitor's machine, without being
allowed to. The browser says on whose behalf it asks, in headers that a page cannot set: Origin and Sec-Fetch-Site
(Fetch Metadata, https://www.w3.org/TR/fetch-metadata/).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ADDRESS = r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>\d{1,5}))?"
_ORIGIN = re.compile(rf"(?P<scheme>https?)://{_ADDRESS}")
_HOST = re.compile(_ADDRESS)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_SHOWN = 100
_PROXY = "a proxy before this server must forward the browser's Host header unchanged"


class TrustedHosts:
    """Refuses every Host but the given names, which stops a foreign name that has been pointed at this machine."""

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app = app
        self._names = tuple(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = True

        async def go_on(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal refused
            refused = False
            await self._app(scope, receive, send)

        async def unless_refused(message: Message) -> None:
            if not refused:
                await send(message)

        # Starlette decides. Its own refusal does not say what to do, so it is replaced.
        await TrustedHostMiddleware(go_on, self._names, www_redirect=False)(scope, receive, unless_refused)
        if refused:
            host = Headers(scope=scope).get("host", "")
            await refuse(
                f"the host {shown(host)} is not one of this server's names: {', '.join(self._names)}; open one of"
                " these, or start the server with --allow-host (the setting WEB_HOSTS) for another",
                400,
            )(scope, receive, send)


class SameOrigin:
    """Refuses what a browser asks on behalf of another origin, by HTTP or WebSocket, except that it may open a page.

    Programs that are no browsers send neither Origin nor Sec-Fetch-Site and are let through.
    """

    def __init__(self, app: ASGIApp, not_pages: Sequence[str] = ()) -> None:
        """`not_pages`: beginnings of paths that a link on another site may not lead to."""
        self._app = app
        self._not_pages = tuple(not_pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = None if scope["type"] == "lifespan" else foreign_origin(scope, self._not_pages)
        await (self._app if reason is None else refuse(reason, 403))(scope, receive, send)


class NoFrames:
    """Tells the browser to show no page of this server in a frame of another site, where clicks could be stolen."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.append("X-Frame-Options", "SAMEORIGIN")
                # A second policy does not replace the page's own: the browser applies both.
                headers.append("Content-Security-Policy", "frame-ancestors 'self'")
            await send(message)

        await self._app(scope, receive, with_headers)


def foreign_origin(scope: Scope, not_pages: Sequence[str] = ()) -> str | None:
    """Why this request of a browser is refused; None for one of our own pages, a typed address or no browser."""
    headers = Headers(scope=scope)
    if any(len(headers.getlist(name)) > 1 for name in ("host", "origin", "sec-fetch-site")):
        return "Host, Origin or Sec-Fetch-Site is given twice; send it once"
    host, origin = headers.get("host", ""), headers.get("origin")
    if origin is not None and not is_same_origin(origin, host):
        return f"the origin {shown(origin)} is not this server's own, {shown(host)}; open its own pages, and {_PROXY}"
    site = headers.get("sec-fetch-site", "none")
    if site in {"same-origin", "none"} or _opens_page(scope, headers, not_pages):
        return None
    return f"the browser asks for a page of another site ({shown(site)}); open this address by itself"


def is_same_origin(origin: str, host: str) -> bool:
    """Whether the header Origin names the server of the header Host.

    Schemes are not compared, for a proxy may speak https to the browser and http to us; a port that is left out is the
    default of the origin's scheme. `null`, the origin of sandboxed pages and files, is nobody's own.
    """
    asking, asked = _ORIGIN.fullmatch(origin.lower()), _HOST.fullmatch(host.lower())
    if asking is None or asked is None:
        return False
    default = _DEFAULT_PORTS[asking["scheme"]]
    ports = {int(address["port"] or default) for address in (asking, asked)}
    return asking["name"] == asked["name"] and len(ports) == 1


def _opens_page(scope: Scope, headers: Headers, not_pages: Sequence[str]) -> bool:
    """A link on another site that leads to a page of ours, in a window of its own."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
        and not scope["path"].startswith(tuple(not_pages))
    )


def refuse(reason: str, status: int) -> PlainTextResponse:
    """One line for the person who is refused: what, and what to do. It works for a WebSocket's handshake too."""
    return PlainTextResponse(f"Refused: {reason}.\n", status)


def shown(value: str) -> str:
    """A header as it came, short enough for one line."""
    return repr(value[:_LONGEST_SHOWN])
