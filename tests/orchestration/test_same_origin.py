"""Which requests of a browser come from one of the server's own pages."""

from typing import Any

import pytest

from orchestration.same_origin import foreign_origin, is_same_origin

OURS = "127.0.0.1:3000"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:3000", OURS),
        ("http://[::1]:3000", "[::1]:3000"),
        ("HTTP://LocalHost:3000", "localhost:3000"),
        ("http://ads.example", "ads.example"),
        ("http://ads.example:80", "ads.example"),
        ("http://ads.example", "ads.example:80"),
        # A proxy speaks https to the browser and http to us.
        ("https://ads.example", "ads.example"),
        ("https://ads.example", "ads.example:443"),
        ("https://ads.example:8443", "ads.example:8443"),
    ],
)
def test_an_origin_is_the_server_s_own_whatever_the_scheme_and_whether_or_not_the_default_port_is_written(
    origin: str, host: str
) -> None:
    assert is_same_origin(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:3001", OURS),
        ("http://127.0.0.1", OURS),
        ("http://localhost:3000", OURS),
        ("http://evil.example:3000", OURS),
        ("https://ads.example", "ads.example:80"),
        ("http://ads.example", "ads.example:443"),
        ("null", OURS),
        ("", OURS),
        ("http://", ""),
        ("ftp://127.0.0.1:3000", OURS),
        ("chrome-extension://127.0.0.1:3000", OURS),
        ("http://127.0.0.1:3000/", OURS),
        ("http://evil.example@127.0.0.1:3000", OURS),
        ("http://127.0.0.1:3000", "evil.example@127.0.0.1:3000"),
        ("http://127.0.0.1:3000 http://evil.example", OURS),
        ("http://127.0.0.1:3000\n", OURS),
        ("http://127.0.0.1.evil.example:3000", OURS),
    ],
)
def test_any_other_origin_is_foreign(origin: str, host: str) -> None:
    assert not is_same_origin(origin, host)


def reason(path: str = "/runs", *, method: str = "GET", kind: str = "http", **headers: str) -> str | None:
    pairs = {"host": OURS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return foreign_origin(scope(list(pairs.items()), path, method, kind), ("/graphql",))


def scope(headers: list[tuple[str, str]], path: str = "/runs", method: str = "GET", kind: str = "http") -> Any:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return {"type": kind, "method": method, "path": path, "headers": raw}


LINK = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}


@pytest.mark.parametrize(
    "request_of",
    [
        {},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none", "sec_fetch_mode": "navigate"},
        {"origin": "http://127.0.0.1:3000", "sec_fetch_site": "same-origin", "method": "POST"},
        {"origin": "http://127.0.0.1:3000", "kind": "websocket"},
        LINK,
        {**LINK, "sec_fetch_site": "same-site"},
    ],
)
def test_programs_own_pages_typed_addresses_and_links_to_a_page_pass(request_of: dict[str, str]) -> None:
    assert reason(**request_of) is None


@pytest.mark.parametrize(
    "request_of",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "anything"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
        {"sec_fetch_site": "same-site", "kind": "websocket"},
        {**LINK, "method": "POST"},
        {**LINK, "sec_fetch_dest": "iframe"},
        {**LINK, "sec_fetch_mode": "cors"},
        {**LINK, "kind": "websocket"},
        {**LINK, "path": "/graphql"},
        {**LINK, "origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://evil.example", "kind": "websocket"},
        {"origin": "http://evil.example", "sec_fetch_site": "same-origin"},
        {"origin": "http://evil.example", "method": "OPTIONS"},
    ],
)
def test_what_a_browser_asks_for_a_page_of_another_origin_is_refused(request_of: dict[str, str]) -> None:
    assert reason(**request_of) is not None


@pytest.mark.parametrize("name", ["host", "origin", "sec-fetch-site"])
def test_a_header_that_is_given_twice_is_refused(name: str) -> None:
    values = {"host": OURS, "origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}
    refused = foreign_origin(scope([*values.items(), (name, values[name])]))
    assert refused is not None
    assert "given twice" in refused


def test_a_refusal_shows_what_came_in_one_short_line_and_the_way_out() -> None:
    refused = reason(origin="http://" + "evil" * 1000)
    assert refused is not None
    assert refused.startswith("the origin 'http://evilevil")
    assert "Host header unchanged" in refused
    assert len(refused) < 400
