"""What a page of another site can do to the webserver through its visitor's browser, in a real Chromium.

Each attack is also tried on Dagster's own webserver, where it succeeds: else this would prove nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from uuid import uuid4

import pytest

from testing.browser import Browser, chromium
from testing.webserver import Served, guarded, serving, set_limit, stock

# Each sets a concurrency limit of its own name, or reports an event of an asset of its own name.
ATTACKS = {
    "get": "fetch(`${ui}/graphql?query=${change}`, {mode: 'no-cors'})",
    "image": "loaded(element('img', {src: `${ui}/graphql?query=${change}`}))",
    "plain_post": "fetch(`${ui}/graphql?query=${change}`, {method: 'POST', mode: 'no-cors', body: ''})",
    "disguised_json": (
        "fetch(`${ui}/graphql`, {method: 'POST', mode: 'no-cors', body: json,"
        " headers: {'Content-Type': 'text/plain; application/json'}})"
    ),
    "beacon": "settled(navigator.sendBeacon(`${ui}/graphql?query=${change}`, new Blob(['x'], {type: 'text/plain'})))",
    "form": "sent(`${ui}/graphql?query=${change}`, 'application/x-www-form-urlencoded')",
    "plain_form": "sent(`${ui}/graphql?query=${change}`, 'text/plain')",
    "report": "fetch(`${ui}/report_asset_materialization/${mark}`, {method: 'POST', mode: 'no-cors'})",
}
TOOLS = """
const settled = () => new Promise(done => setTimeout(done, 500));
const loaded = made => new Promise(done => { made.onload = made.onerror = done; });
const element = (kind, fields) => document.body.appendChild(Object.assign(document.createElement(kind), fields));
const sent = (action, enctype) => {
  const frame = element('iframe', {name: `frame_${enctype}`});
  element('form', {method: 'POST', action, enctype, target: frame.name}).submit();
  return loaded(frame);
};
"""
SUBSCRIPTION = """new Promise(done => {
  const socket = new WebSocket(`ws://${ui.slice(7)}/graphql`, 'graphql-ws');
  socket.onopen = () => socket.send('{"type": "connection_init"}');
  socket.onmessage = message => done(JSON.parse(message.data).type);
  socket.onerror = () => done('refused');
})"""


class EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<body>a page of another site")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def foreign_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(guarded(), tmp_path_factory.mktemp("ours")) as served:
        yield served


@pytest.fixture(scope="module")
def dagsters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(stock(), tmp_path_factory.mktemp("stock")) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium({"evil.example": "127.0.0.1"}) as browser:
        yield browser


@pytest.fixture(params=["127.0.0.1", "evil.example"])
def foreign_page(request: pytest.FixtureRequest, browser: Browser, foreign_port: int) -> Browser:
    """The browser on a page of another site: another port of this machine, or another name."""
    browser.open(f"http://{request.param}:{foreign_port}/")
    return browser


def attack(page: Browser, served: Served) -> set[str]:
    """Tries everything from the page that is open, and returns the attacks that had an effect."""
    ui = json.dumps(f"http://127.0.0.1:{served.port}")
    marks = {f"{name}_{uuid4().hex}": name for name in ATTACKS}
    for mark, name in marks.items():
        change = json.dumps(set_limit(mark))
        values = f"const ui = {ui}, mark = '{mark}', change = encodeURIComponent({change});"
        values += f"const json = JSON.stringify({{query: {change}}});"
        page.evaluate(f"(async () => {{ {TOOLS} {values} await {ATTACKS[name]}.catch(() => 'refused'); }})()")
    return {marks[mark] for mark in served.limits() | served.assets() if mark in marks}


def test_the_stock_webserver_obeys_any_page(foreign_page: Browser, dagsters: Served) -> None:
    assert attack(foreign_page, dagsters) == set(ATTACKS)
    assert subscribed(foreign_page, dagsters) == "connection_ack"
    assert refused_frames(foreign_page, dagsters) == []


def test_a_foreign_page_changes_nothing(foreign_page: Browser, ours: Served) -> None:
    assert attack(foreign_page, ours) == set()


def test_a_foreign_page_opens_no_websocket(foreign_page: Browser, ours: Served) -> None:
    assert subscribed(foreign_page, ours) == "refused"


def subscribed(page: Browser, served: Served) -> str:
    """What the server says to a WebSocket from the page that is open."""
    return str(page.evaluate(f"(ui => {SUBSCRIPTION})('http://127.0.0.1:{served.port}')"))


def test_a_foreign_page_cannot_show_the_ui_in_a_frame(foreign_page: Browser, ours: Served) -> None:
    assert refused_frames(foreign_page, ours) == [f"http://127.0.0.1:{ours.port}/"]


def refused_frames(page: Browser, served: Served) -> list[str]:
    address = f"http://127.0.0.1:{served.port}/"
    page.evaluate(f"(() => {{ {TOOLS} return loaded(element('iframe', {{src: '{address}'}})); }})()")
    return page.refused_frames()


def test_a_name_that_is_pointed_at_this_machine_is_refused(browser: Browser, ours: Served) -> None:
    browser.open(f"http://evil.example:{ours.port}/")
    assert browser.text().startswith("Refused: the host 'evil.example:")


def test_a_link_on_a_foreign_page_opens_a_page_of_the_ui_and_nothing_else(foreign_page: Browser, ours: Served) -> None:
    here = foreign_page.evaluate("location.href")
    foreign_page.follow(f"http://127.0.0.1:{ours.port}/graphql?query={{version}}")
    assert foreign_page.text().startswith("Refused: the browser asks for a page of another site")
    foreign_page.open(here)
    foreign_page.follow(f"http://127.0.0.1:{ours.port}/assets")
    assert shows(foreign_page, "bread")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_ui_works_shows_its_assets_changes_what_is_asked_and_hears_of_news(
    browser: Browser, ours: Served, name: str
) -> None:
    browser.open(f"http://{name}:{ours.port}/assets")
    assert shows(browser, "bread")
    change = json.dumps({"query": set_limit(f"own_{name}")})
    headers = "{'Content-Type': 'application/json'}"
    browser.evaluate(f"fetch('/graphql', {{method: 'POST', headers: {headers}, body: {json.dumps(change)}}})")
    assert f"own_{name}" in ours.limits()
    assert browser.evaluate(f"(ui => {SUBSCRIPTION})(location.origin)") == "connection_ack"
    browser.open(f"http://{name}:{ours.port}/graphql")
    assert browser.evaluate("document.title") == "GraphiQL"


def shows(page: Browser, text: str) -> bool:
    """Whether the text comes up on the page within ten seconds."""
    look = f"document.body.innerText.includes({json.dumps(text)})"
    script = f"new Promise(done => {{ const look = n => {look} ? done(true) : n ? setTimeout(look, 100, n - 1)"
    return bool(page.evaluate(f"{script} : done(false); look(100); }})"))
