"""An HTTP client for servers that nobody vouches for: bounded in time and bytes, and it goes nowhere else."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import httpx2

MOST_ANSWER_BYTES = 4_000_000


def bounded_client(url: str, proxy: str | None) -> httpx2.Client:
    """A client for this server only: no redirects, no proxy but this one, no settings from the environment.

    User and password of the URL are sent with each request and stand in no message. The read timeout of a request is
    the time for its whole answer.
    """
    import httpx2

    login = urlsplit(url)
    auth = (unquote(login.username or ""), unquote(login.password or "")) if "@" in login.netloc else None
    return httpx2.Client(transport=_bounded_transport(proxy), auth=auth, follow_redirects=False, trust_env=False)


def _bounded_transport(proxy: str | None) -> httpx2.BaseTransport:
    import httpx2

    class BoundedTransport(httpx2.BaseTransport):
        """Reads the whole answer within the request's read timeout, at most 4 MB, and none that is packed."""

        def __init__(self) -> None:
            # A connection of its own for each request: what is cut off is then this request alone.
            alone = httpx2.Limits(max_keepalive_connections=0)
            self._inner = httpx2.HTTPTransport(proxy=proxy, trust_env=False, limits=alone)

        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            request.headers["Accept-Encoding"] = "identity"
            most_s = request.extensions["timeout"]["read"]
            cut = _Cut(most_s)
            request.extensions = {**request.extensions, "trace": cut.trace}
            try:
                response = self._inner.handle_request(request)
                try:
                    body = _whole(response)
                finally:
                    response.close()
            except httpx2.TransportError as error:
                if cut.is_over:
                    raise httpx2.ReadTimeout(f"no whole answer within {most_s:.0f} s") from error
                raise
            finally:
                cut.cancel()
            return httpx2.Response(response.status_code, headers=response.headers, content=body)

        def close(self) -> None:
            self._inner.close()

    def _whole(response: httpx2.Response) -> bytes:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise httpx2.RemoteProtocolError("the answer is packed, which was not asked for")
        body = bytearray()
        for part in response.stream:  # type: ignore[union-attr]
            body += part
            if len(body) > MOST_ANSWER_BYTES:
                raise httpx2.RemoteProtocolError(f"the answer has more than {MOST_ANSWER_BYTES:,} bytes")
        return bytes(body)

    return BoundedTransport()


class _Cut:
    """Cuts off the connection of one request when its time is over, whatever the server sends until then."""

    def __init__(self, most_s: float) -> None:
        self.is_over = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(most_s, self._end)
        self._timer.daemon = True
        self._timer.start()

    def trace(self, _: str, info: dict[str, Any]) -> None:
        """Told of each step of the connection; TLS gives it another socket."""
        ask = getattr(info.get("return_value"), "get_extra_info", None)
        if ask is not None:
            self._socket = ask("socket")
            if self.is_over:
                self._shut()

    def cancel(self) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self.is_over = True
        self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            try:
                # Of the socket below TLS, which says nothing to the server first.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                # The server has ended the connection already.
                return
