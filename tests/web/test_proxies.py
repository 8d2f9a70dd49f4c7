"""docs/proxy.md: each configuration with the real server, a real browser and a real webserver behind it."""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from resources.settings import PROJECT
from service.running import free_port
from testing.browser import chromium
from testing.debian import program
from testing.foreign_page import attack, changes, foreign_site, shows, subscribed
from testing.webserver import Served, guarded, serving

NAME = "ads.example.com"
PASSWORD = "open sesame"
_STARTED_WITHIN_S = 30.0


@dataclass(frozen=True)
class Proxy:
    """A proxy that serves https at this port of 127.0.0.1, and the webserver behind it."""

    port: int
    behind: Served


def configuration(language: str) -> str:
    """The block of this language in docs/proxy.md."""
    text = (PROJECT / "docs" / "proxy.md").read_text()
    [block] = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(block)


def replaced(text: str, **changed: str) -> str:
    """The text with every `key` given, which must be in it, replaced."""
    for old, new in changed.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def nginx(folder: Path, port: int, ui_port: int) -> list[str]:
    """The command that serves the documented configuration with a certificate and a password of the test's own."""
    certificate, key, passwords = folder / "certificate.pem", folder / "key.pem", folder / "passwords"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "1", "-subj", f"/CN={NAME}", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    digest = subprocess.run(
        ["openssl", "passwd", "-apr1", PASSWORD], check=True, capture_output=True, text=True
    ).stdout.strip()
    passwords.write_text(f"anna:{digest}\n")
    site = replaced(
        configuration("nginx"),
        **{
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/certs/ads.example.com.pem": str(certificate),
            "/etc/ssl/private/ads.example.com.key": str(key),
            "/etc/nginx/job-variants.htpasswd": str(passwords),
            "http://127.0.0.1:3000": f"http://127.0.0.1:{ui_port}",
        },
    )
    temporary = "\n".join(
        f"{kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder / 'pid'}; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{site} }}\n"
    )
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]


def caddy(folder: Path, port: int, ui_port: int) -> list[str]:
    """The command that serves the documented configuration with a certificate of its own authority."""
    hashed = [program("caddy"), "hash-password", "--plaintext", PASSWORD]
    digest = subprocess.run(hashed, check=True, capture_output=True, text=True).stdout.strip()
    documented = configuration("caddy")
    [old_digest] = re.findall(r"\$2a\$\S+", documented)
    site = replaced(
        documented,
        **{
            f"{NAME} {{": f"https://{NAME}:{port} {{\n    tls internal\n    bind 127.0.0.1",
            old_digest: digest,
            "127.0.0.1:3000": f"127.0.0.1:{ui_port}",
        },
    )
    options = (
        f"admin off\n skip_install_trust\n auto_https disable_redirects\n storage file_system {folder / 'storage'}\n"
    )
    (folder / "Caddyfile").write_text(f"{{\n {options}}}\n{site}")
    return [program("caddy"), "run", "--config", str(folder / "Caddyfile")]


@contextmanager
def proxied(command: list[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "HOME": str(folder)}
        )
    try:
        give_up_s = time.monotonic() + _STARTED_WITHIN_S
        while not listens(port):
            if process.poll() is not None or time.monotonic() > give_up_s:
                raise RuntimeError(f"{command} does not listen: {(folder / 'log').read_text()}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(guarded("--allow-host", NAME), tmp_path_factory.mktemp("webserver")) as served:
        yield served


@pytest.fixture(scope="module", params=[nginx, caddy], ids=lambda prepare: prepare.__name__)
def proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, behind: Served) -> Iterator[Proxy]:
    folder, port = tmp_path_factory.mktemp("proxy"), free_port(0)
    with proxied(request.param(folder, port, behind.port), port, folder):
        yield Proxy(port, behind)


@contextmanager
def connected(proxy: Proxy) -> Iterator[ssl.SSLSocket]:
    """A TLS connection to the proxy by its own name, whoever signed the certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as encrypted,
    ):
        yield encrypted


def status(proxy: Proxy, path: str, user: str, **headers: str) -> int:
    """What the proxy answers to this `user:password`; empty for none."""
    login = {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"} if user else {}
    lines = [
        f"GET {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in {"Host": NAME, **login, **headers}.items()),
    ]
    with connected(proxy) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(connection.recv(64).split()[1])


WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    "Sec-WebSocket-Protocol": "graphql-ws",
}


@pytest.mark.parametrize("user", ["", "anna:guess", f"berta:{PASSWORD}"])
def test_nobody_passes_without_the_password(proxy: Proxy, user: str) -> None:
    assert status(proxy, "/", user) == 401
    assert status(proxy, "/graphql", user, **WEBSOCKET) == 401


def test_who_has_the_password_passes_but_a_foreign_page_in_his_browser_does_not(proxy: Proxy) -> None:
    user = f"anna:{PASSWORD}"
    assert status(proxy, "/", user) == 200
    assert status(proxy, "/graphql", user, **WEBSOCKET) == 101
    assert status(proxy, "/graphql", user, **WEBSOCKET, Origin=f"https://{NAME}") == 101
    assert status(proxy, "/graphql", user, **WEBSOCKET, Origin="https://evil.example") == 403
    assert status(proxy, "/favicon.png", user, **{"Sec-Fetch-Site": "cross-site"}) == 403


def test_the_ui_works_in_a_browser_through_the_proxy_and_foreign_pages_change_nothing(proxy: Proxy) -> None:
    ui = f"https://{NAME}"
    with chromium({NAME: f"127.0.0.1:{proxy.port}"}) as browser, foreign_site() as foreign_port:
        browser.open(f"https://anna:{quote(PASSWORD)}@{NAME}/")
        # The browser remembers the login. A page whose address holds one may not fetch.
        browser.open(f"{ui}/assets")
        assert shows(browser, "bread")
        assert changes(browser, proxy.behind)
        assert subscribed(browser, ui) == "connection_ack"
        browser.open(f"http://127.0.0.1:{foreign_port}/")
        assert attack(browser, ui, proxy.behind) == set()
        assert subscribed(browser, ui) == "refused"
