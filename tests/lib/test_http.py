"""Outbound HTTP: which addresses are reached, and what stays unsaid."""

import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import aiohttp
import httpx
import pytest

from agentopt.lib import http
from tests.loops import run_alone

Found = list[tuple[Any, ...]]


class _Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[dict[str, str]] = []

    def do_GET(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        moved = self.path == "/moved"
        body = b"x" * 5000
        self.send_response(302 if moved else 200)
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    _Hello.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hello)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let names resolve to the given addresses, one answer after another; return the list of names asked."""
    waiting, asked = list(answers), list[str]()
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if not name.endswith(".example"):
            return real(host, port, *args, **options)
        asked.append(name)
        return real(waiting.pop(0) if len(waiting) > 1 else waiting[0], port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def by_httpx(url: str) -> str:
    with http.client(timeout_s=2, max_bytes=10_000) as client:
        return client.get(url).text


def by_aiohttp(url: str) -> str:
    async def get() -> str:
        async with aiohttp.ClientSession(connector=http.connector(1)) as session, session.get(url) as reply:
            return await reply.text()

    return run_alone(get())


BOTH = pytest.mark.parametrize("get", [by_httpx, by_aiohttp])


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0",  # noqa: S104 — nothing is bound to it
        "224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
        "2001:db8::1",
    ],
)  # fmt: skip
def test_an_inside_address_is_not_public(address: str) -> None:
    assert not http.is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_an_outside_address_is_public(address: str) -> None:
    assert http.is_public(address)


@BOTH
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_a_private_address_is_refused(get: Any, host: str, port: int, settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False

    with pytest.raises((http.PrivateAddress, aiohttp.ClientConnectorError)) as caught:
        get(f"http://{host}:{port}/")

    cause = caught.value.os_error if isinstance(caught.value, aiohttp.ClientConnectorError) else caught.value
    assert isinstance(cause, http.PrivateAddress)
    assert "ALLOW_PRIVATE_ADDRESSES" in str(cause)
    assert _Hello.seen == []


@BOTH
def test_a_private_address_is_reached_where_that_is_allowed(get: Any, port: int) -> None:
    assert get(f"http://127.0.0.1:{port}/") == "x" * 5000


@BOTH
def test_a_name_that_leads_inside_is_refused(
    get: Any, port: int, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False
    resolving(monkeypatch, "127.0.0.1")

    with pytest.raises((http.PrivateAddress, aiohttp.ClientConnectorError)):
        get(f"http://inside.example:{port}/")

    assert _Hello.seen == []


def test_a_name_is_resolved_once_so_it_cannot_change_between_check_and_connection(
    port: int, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False
    asked = resolving(monkeypatch, "192.0.2.1", "127.0.0.1")
    monkeypatch.setattr(http, "is_public", lambda address: address == "192.0.2.1")  # stands for an outside address

    with http.client(timeout_s=0.3, max_bytes=10) as client, pytest.raises(httpx.TransportError):
        client.get(f"http://rebinding.example:{port}/")

    assert asked == ["rebinding.example"]
    assert _Hello.seen == []


def test_host_header_and_tls_name_stay_those_of_the_name(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "127.0.0.1")
    names: list[str | None] = []

    def wrap(self: ssl.SSLContext, *_args: Any, server_hostname: str | None = None, **_options: Any) -> None:
        names.append(server_hostname)
        raise ssl.SSLError("far enough")

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", wrap)

    by_httpx(f"http://gateway.example:{port}/")
    with pytest.raises(httpx.ConnectError):
        by_httpx(f"https://gateway.example:{port}/")

    assert _Hello.seen[0]["host"] == f"gateway.example:{port}"
    assert names == ["gateway.example"]


def test_the_next_address_of_a_name_is_tried_when_one_does_not_answer(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: both)
    seen: list[str] = []
    monkeypatch.setattr(http, "refuse_private", seen.append)

    assert by_httpx(f"http://two.example:{port}/")
    assert seen == ["127.0.0.2", "127.0.0.1"]


def test_a_redirect_is_not_followed(port: int) -> None:
    with http.client(timeout_s=2, max_bytes=10_000) as client:
        reply = client.get(f"http://127.0.0.1:{port}/moved")

    assert reply.status_code == 302
    assert len(_Hello.seen) == 1


def test_a_reply_over_the_limit_is_refused(port: int) -> None:
    with http.client(timeout_s=2, max_bytes=100) as client, pytest.raises(http.TooLarge):
        client.get(f"http://127.0.0.1:{port}/")


def test_a_proxy_of_the_environment_is_not_asked(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    assert by_httpx(f"http://127.0.0.1:{port}/")


def test_a_name_that_does_not_exist_is_a_failed_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_args: Any, **_options: Any) -> Found:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    with pytest.raises(httpx.ConnectError, match="resolved"):
        by_httpx("http://nowhere.example/")
