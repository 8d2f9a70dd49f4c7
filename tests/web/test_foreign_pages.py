"""What a page of another site can do to the webserver through its visitor's browser, in a real Chromium.

Each attack is also tried on Dagster's own webserver, where it succeeds: else this would prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing.browser import Browser, chromium
from testing.foreign_page import ATTACKS, attack, changes, foreign_site, refused_frames, shows, subscribed
from testing.webserver import Served, guarded, serving, stock


@pytest.fixture(scope="module")
def foreign_port() -> Iterator[int]:
    with foreign_site() as port:
        yield port


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


def test_the_stock_webserver_obeys_any_page(foreign_page: Browser, dagsters: Served) -> None:
    assert attack(foreign_page, dagsters.url, dagsters) == set(ATTACKS)
    assert subscribed(foreign_page, dagsters.url) == "connection_ack"
    assert refused_frames(foreign_page, f"{dagsters.url}/") == []


def test_a_foreign_page_changes_nothing(foreign_page: Browser, ours: Served) -> None:
    assert attack(foreign_page, ours.url, ours) == set()


def test_a_foreign_page_opens_no_websocket(foreign_page: Browser, ours: Served) -> None:
    assert subscribed(foreign_page, ours.url) == "refused"


def test_a_foreign_page_cannot_show_the_ui_in_a_frame(foreign_page: Browser, ours: Served) -> None:
    assert refused_frames(foreign_page, f"{ours.url}/") == [f"{ours.url}/"]


def test_a_name_that_is_pointed_at_this_machine_is_refused(browser: Browser, ours: Served) -> None:
    browser.open(f"http://evil.example:{ours.port}/")
    assert browser.text().startswith("Refused: the host 'evil.example:")


def test_a_link_on_a_foreign_page_opens_a_page_of_the_ui_and_nothing_else(foreign_page: Browser, ours: Served) -> None:
    here = foreign_page.evaluate("location.href")
    foreign_page.follow(f"{ours.url}/graphql?query={{version}}")
    assert foreign_page.text().startswith("Refused: the browser asks for a page of another site")
    foreign_page.open(here)
    foreign_page.follow(f"{ours.url}/assets")
    assert shows(foreign_page, "bread")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_ui_works_shows_its_assets_changes_what_is_asked_and_hears_of_news(
    browser: Browser, ours: Served, name: str
) -> None:
    ui = f"http://{name}:{ours.port}"
    browser.open(f"{ui}/assets")
    assert shows(browser, "bread")
    assert changes(browser, ours)
    assert subscribed(browser, ui) == "connection_ack"
    browser.open(f"{ui}/graphql")
    assert browser.evaluate("document.title") == "GraphiQL"
