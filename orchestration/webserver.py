"""Dagster's webserver behind checks that keep other web pages out: `python -m orchestration.webserver --help`.

The stock webserver has no login and answers any host, any origin and any content type, so every page that its user
visits can start and delete runs. This one listens on 127.0.0.1 only and has no login either: for that, a proxy stands
before it.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import uvicorn
from dagster import DagsterInstance
from dagster_webserver.version import __version__
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orchestration._dagster import open_workspace
from orchestration.same_origin import NoFrames, SameOrigin, TrustedHosts, refuse, shown

if TYPE_CHECKING:
    from orchestration._dagster import WorkspaceProcessContext, WorkspaceRequestContext

    Webserver = DagsterWebserver[WorkspaceProcessContext, WorkspaceRequestContext]
else:
    Webserver = DagsterWebserver

OWN_HOSTS = ("127.0.0.1", "localhost", "[::1]")
# What is no page: queries, downloads, and what programs report. No link on another site leads there.
NOT_PAGES = ("/graphql", "/logs/", "/download_debug/", "/notebook", "/dagit/", "/report_asset_")
_LIVE_DATA_EVERY_MS = 2000
_OPEN_REQUESTS_END_WITHIN_S = 3


class GuardedWebserver(Webserver):
    """The webserver of a workspace. `hosts` are the names it may be called by, besides those of this machine."""

    def __init__(
        self, process_context: WorkspaceProcessContext, hosts: Sequence[str] = (), *, report_endpoints: bool = False
    ) -> None:
        self._hosts = (*OWN_HOSTS, *hosts)
        self._report_endpoints = report_endpoints
        super().__init__(process_context, live_data_poll_rate=_LIVE_DATA_EVERY_MS)

    def build_middleware(self) -> list[Middleware]:
        return [
            Middleware(NoFrames),
            Middleware(TrustedHosts, self._hosts),
            Middleware(SameOrigin, NOT_PAGES),
            *super().build_middleware(),
        ]

    def build_routes(self) -> list[BaseRoute]:
        routes: list[BaseRoute] = super().build_routes()  # type: ignore[no-untyped-call]
        if self._report_endpoints:
            return routes
        # The first route that matches answers.
        return [Route("/report_asset_{rest:path}", _refuse_report, methods=["GET", "POST"]), *routes]

    async def graphql_http_endpoint(self, request: Request) -> Response:
        """Queries come as JSON by POST: no page of another site can send that without being asked first."""
        refusal = _refused_graphql(request)
        return refusal or await super().graphql_http_endpoint(request)


async def _refuse_report(_request: Request) -> Response:
    return refuse(
        "events of assets are not taken here; start the server with --report-endpoints (the setting REPORT_ENDPOINTS)"
        " if programs are to report them",
        403,
    )


def _refused_graphql(request: Request) -> Response | None:
    if request.method == "GET":
        # GraphiQL, which sends what is typed there by POST.
        is_page = "text/html" in request.headers.get("accept", "")
        return None if is_page else refuse("GraphQL by GET; send the query by POST as application/json", 405)
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip() == "application/json":
        return None
    return refuse(f"GraphQL as {shown(content_type)}; send the query as application/json", 415)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves the UI of the instance of DAGSTER_HOME until it is ended. Sends no telemetry."""
    given = _parser().parse_args(arguments)
    with (
        DagsterInstance.get() as instance,
        open_workspace(instance, given.workspace, version=__version__, read_only=given.read_only) as context,
    ):
        instance.optimize_for_webserver(statement_timeout=15_000, pool_recycle=3600, max_overflow=20)
        # uvicorn says so of every WebSocket that is refused, although it has been answered.
        logging.getLogger("uvicorn.error").addFilter(
            lambda record: "without completing handshake" not in str(record.msg)
        )
        server = GuardedWebserver(context, given.allow_host, report_endpoints=given.report_endpoints)
        uvicorn.run(
            server.create_asgi_app(),
            host="127.0.0.1",
            port=given.port,
            log_level="warning",
            timeout_graceful_shutdown=_OPEN_REQUESTS_END_WITHIN_S,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m orchestration.webserver", description="Dagster's webserver, closed to other web pages."
    )
    parser.add_argument("--port", type=int, required=True, help="of 127.0.0.1, where it listens")
    parser.add_argument("--workspace", required=True, help="the workspace.yaml that names the code locations")
    parser.add_argument("--read-only", action="store_true", help="nobody can start, change or delete anything")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name that a proxy is called by; repeatable"
    )
    parser.add_argument(
        "--report-endpoints", action="store_true", help="programs may report events of assets at /report_asset_..."
    )
    return parser


if __name__ == "__main__":
    main()
