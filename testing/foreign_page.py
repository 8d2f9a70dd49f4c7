"""A page of another site, and what it tries to do to a webserver through its visitor's browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from uuid import uuid4

from testing.browser import Browser
from testing.webserver import Served, set_limit

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
_TOOLS = """
const settled = () => new Promise(done => setTimeout(done, 500));
const loaded = made => new Promise(done => { made.onload = made.onerror = done; });
const element = (kind, fields) => document.body.appendChild(Object.assign(document.createElement(kind), fields));
const sent = (action, enctype) => {
  const frame = element('iframe', {name: `frame_${enctype}`});
  element('form', {method: 'POST', action, enctype, target: frame.name}).submit();
  return loaded(frame);
};
"""
_SUBSCRIPTION = """new Promise(done => {
  const socket = new WebSocket(`${ui.replace('http', 'ws')}/graphql`, 'graphql-ws');
  socket.onopen = () => socket.send('{"type": "connection_init"}');
  socket.onmessage = message => done(JSON.parse(message.data).type);
  socket.onerror = () => done('refused');
})"""


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<body>a page of another site")

    def log_message(self, *_: object) -> None: ...


@contextmanager
def foreign_site() -> Iterator[int]:
    """A site with one empty page; yields its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def attack(page: Browser, ui: str, served: Served) -> set[str]:
    """Tries everything on the UI from the page that is open, and returns the attacks that had an effect."""
    marks = {f"{name}_{uuid4().hex}": name for name in ATTACKS}
    for mark, name in marks.items():
        change = json.dumps(set_limit(mark))
        values = f"const ui = {json.dumps(ui)}, mark = '{mark}', change = encodeURIComponent({change});"
        values += f"const json = JSON.stringify({{query: {change}}});"
        page.evaluate(f"(async () => {{ {_TOOLS} {values} await {ATTACKS[name]}.catch(() => 'refused'); }})()")
    return {marks[mark] for mark in served.limits() | served.assets() if mark in marks}


def subscribed(page: Browser, ui: str) -> str:
    """What the server says to a WebSocket from the page that is open."""
    return str(page.evaluate(f"(ui => {_SUBSCRIPTION})({json.dumps(ui)})"))


def refused_frames(page: Browser, address: str) -> list[str]:
    """The addresses that the browser does not show in a frame of the page that is open."""
    page.evaluate(f"(() => {{ {_TOOLS} return loaded(element('iframe', {{src: {json.dumps(address)}}})); }})()")
    return page.refused_frames()


def changes(page: Browser, served: Served) -> bool:
    """Whether a page of the UI itself, the one that is open, can change something."""
    mark = f"own_{uuid4().hex}"
    body = json.dumps(json.dumps({"query": set_limit(mark)}))
    options = f"{{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: {body}}}"
    page.evaluate(f"fetch('/graphql', {options}).then(answer => answer.text())")
    return mark in served.limits()


def shows(page: Browser, text: str) -> bool:
    """Whether the text comes up on the page within ten seconds."""
    look = f"document.body.innerText.includes({json.dumps(text)})"
    script = f"new Promise(done => {{ const look = n => {look} ? done(true) : n ? setTimeout(look, 100, n - 1)"
    return bool(page.evaluate(f"{script} : done(false); look(100); }})"))
