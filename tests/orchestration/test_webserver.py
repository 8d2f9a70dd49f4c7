"""Dagster's webserver behind its checks: what it refuses, with what words, and that all else works as before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from orchestration._dagster import open_workspace
from orchestration.webserver import GuardedWebserver
from testing.webserver import set_limit

OURS = "http://127.0.0.1:3000"
JSON = {"Content-Type": "application/json"}
CHANGE = set_limit("stolen")
REPORTS = ["/report_asset_materialization/bread", "/report_asset_check/bread", "/report_asset_observation/bread"]


class Server:
    """The webserver in this process, and what has been changed through it."""

    def __init__(self, instance: dg.DagsterInstance, client: TestClient) -> None:
        self._instance = instance
        self.client = client

    def changed(self) -> bool:
        limits = self._instance.event_log_storage.get_concurrency_keys()
        return bool(limits or self._instance.all_asset_keys())

    def post(self, query: str, headers: Mapping[str, str] = JSON) -> Any:
        return self.client.post("/graphql", content=json.dumps({"query": query}), headers=headers)


@contextmanager
def server(folder: Path, *hosts: str, read_only: bool = False, report_endpoints: bool = False) -> Iterator[Server]:
    workspace = folder / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    with (
        dg.DagsterInstance.local_temp(str(folder)) as instance,
        open_workspace(instance, str(workspace), version="1.0", read_only=read_only) as context,
    ):
        webserver = GuardedWebserver(context, hosts, report_endpoints=report_endpoints)
        with TestClient(webserver.create_asgi_app(), base_url=OURS) as client:
            yield Server(instance, client)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all that is refused, for it stays as it is."""
    with server(tmp_path_factory.mktemp("server")) as running:
        yield running


def test_a_query_as_json_is_answered_to_programs_and_to_its_own_pages(ours: Server) -> None:
    for headers in ({}, {"Origin": OURS}, {"Origin": OURS, "Sec-Fetch-Site": "same-origin"}):
        assert ours.post("{ version }", {**JSON, **headers}).json() == {"data": {"version": "1.0"}}
    assert ours.post("{ version }", {"Content-Type": "application/json; charset=utf-8"}).status_code == 200


def test_a_change_as_json_is_made(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        assert running.post(CHANGE).json() == {"data": {"setConcurrencyLimit": True}}
        assert running.changed()


@pytest.mark.parametrize("path", ["/graphql", "/graphql%0A"])
@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_graphql_by_get_is_refused(ours: Server, path: str, accept: str) -> None:
    answer = ours.client.get(f"{path}?query={CHANGE}", headers={"Accept": accept})
    assert (answer.status_code, ours.changed()) == (405, False)
    assert answer.text == "Refused: GraphQL by GET; send the query by POST as application/json.\n"


def test_the_page_of_graphiql_is_shown_and_runs_nothing_by_itself(ours: Server) -> None:
    answer = ours.client.get(f"/graphql?query={CHANGE}", headers={"Accept": "text/html,*/*"})
    assert (answer.status_code, ours.changed()) == (200, False)
    assert "<title>GraphiQL</title>" in answer.text


@pytest.mark.parametrize("path", ["/graphql", "/graphql%0A"])
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "application/graphql",
        "application/json, text/plain",
        "application/jsonp",
        "Application/JSON",
    ],
)
def test_graphql_as_anything_but_json_is_refused(ours: Server, path: str, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    body = json.dumps({"query": CHANGE})
    answer = ours.client.post(f"{path}?query={CHANGE}", content=body, headers=headers)
    assert (answer.status_code, ours.changed()) == (415, False)
    assert answer.text == f"Refused: GraphQL as {content_type or ''!r}; send the query as application/json.\n"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:8000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": OURS, "Sec-Fetch-Site": "same-site"},
    ],
)
def test_json_from_a_foreign_page_is_refused(ours: Server, headers: dict[str, str]) -> None:
    answer = ours.post(CHANGE, {**JSON, **headers})
    assert (answer.status_code, ours.changed()) == (403, False)
    assert answer.text.startswith("Refused: ")
    assert answer.text.count("\n") == 1


def test_a_browser_that_asks_beforehand_for_a_foreign_page_is_refused(ours: Server) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = ours.client.options("/graphql", headers=asked)
    assert answer.status_code == 403
    assert not any(name.startswith("access-control-") for name in answer.headers)


def test_a_websocket_is_opened_for_its_own_pages_and_programs(ours: Server) -> None:
    for headers in ({}, {"Origin": OURS}):
        own = {"Host": "127.0.0.1:3000", **headers}
        with ours.client.websocket_connect("/graphql", ["graphql-ws"], headers=own) as socket:
            socket.send_json({"type": "connection_init"})
            assert socket.receive_json() == {"type": "connection_ack"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example:3000", "Origin": "http://evil.example:3000"},
        {"Host": "evil.example:3000"},
    ],
)
def test_a_websocket_for_a_foreign_page_is_refused_with_the_reason(ours: Server, headers: dict[str, str]) -> None:
    own = {"Host": "127.0.0.1:3000"}
    with pytest.raises(WebSocketDenialResponse) as denial:
        ours.client.websocket_connect("/graphql", headers={**own, **headers}).__enter__()
    assert denial.value.status_code in (400, 403)
    assert denial.value.text.startswith("Refused: ")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:3000", "127.0.0.1.evil.example:3000", "", "a b", "*"])
@pytest.mark.parametrize("path", ["/", "/graphql", "/server_info", "/favicon.png"])
def test_a_foreign_name_that_is_pointed_at_this_machine_is_refused(ours: Server, host: str, path: str) -> None:
    answer = ours.client.get(path, headers={"Host": host})
    assert answer.status_code == 400
    assert answer.text == (
        f"Refused: the host {host!r} is not one of this server's names: 127.0.0.1, localhost, [::1]; open one of these,"
        " or start the server with --allow-host (the setting WEB_HOSTS) for another.\n"
    )


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "LOCALHOST", "[::1]:3000", "ads.example"])
def test_the_names_of_this_machine_and_those_that_are_allowed_are_answered(tmp_path: Path, host: str) -> None:
    with server(tmp_path, "ads.example") as running:
        assert running.client.get("/server_info", headers={"Host": host}).status_code == 200
        own = {**JSON, "Host": host, "Origin": f"https://{host.lower()}"}
        assert running.post("{ version }", own).status_code == 200


@pytest.mark.parametrize("path", REPORTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_reports_of_events_are_refused_unless_they_are_switched_on(ours: Server, path: str, method: str) -> None:
    answer = ours.client.request(method, path)
    assert (answer.status_code, ours.changed()) == (403, False)
    assert "--report-endpoints" in answer.text


def test_reports_are_taken_from_programs_where_they_are_switched_on(tmp_path: Path) -> None:
    with server(tmp_path, report_endpoints=True) as running:
        foreign = {"Origin": "http://evil.example"}
        assert running.client.post(REPORTS[0], headers=foreign).status_code == 403
        assert not running.changed()
        assert running.client.post(REPORTS[0]).status_code == 200
        assert running.changed()


def test_read_only_shows_everything_and_changes_nothing(tmp_path: Path) -> None:
    with server(tmp_path, read_only=True, report_endpoints=True) as running:
        assert running.post("{ version }").status_code == 200
        assert running.client.get("/").status_code == 200
        running.post(CHANGE)
        running.client.post(REPORTS[0])
        assert not running.changed()


@pytest.mark.parametrize("path", ["/", "/graphql", "/favicon.png", "/report_asset_check/bread"])
def test_no_page_is_shown_in_a_frame_of_another_site(ours: Server, path: str) -> None:
    headers = ours.client.get(path, headers={"Accept": "text/html"}).headers
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in headers.get_list("Content-Security-Policy")
