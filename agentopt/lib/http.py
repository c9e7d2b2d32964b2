"""Outbound HTTP: every connection goes through one guard, redirects are not followed, secrets stay out of the log.

The guard looks at the address that is connected to, not at the name, so a name that resolves to something else the
second time (DNS rebinding) does not get past, nor does a literal address. Proxies of the environment are ignored:
behind one, the address could not be checked.
"""

import logging
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any

import httpx
from django.conf import settings

if TYPE_CHECKING:
    import aiohttp

CONNECT_TIMEOUT_S = 10.0
_NAT64 = IPv6Network("64:ff9b::/96")
# they write addresses with their query (a signed one is a secret), headers and bodies
for _name in ("httpx", "httpcore", "openai", "portkey_ai"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class PrivateAddress(OSError):
    """The name leads to an address inside this network, and ALLOW_PRIVATE_ADDRESSES is off."""

    def __init__(self) -> None:
        # without the address: two refusals of one name must read the same, and nothing of the inside is told
        super().__init__("the address is private; ALLOW_PRIVATE_ADDRESSES=true allows it")


class TooLarge(OSError):
    """The reply is larger than the caller allows."""


def is_public(address: str) -> bool:
    """Whether a literal address belongs to the public internet, also where it wraps an IPv4 address."""
    ip: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(ip, IPv6Address):
        wrapped = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in _NAT64:
            wrapped.append(IPv4Address(int(ip) & 0xFFFFFFFF))
        inner = [one for one in wrapped if one is not None]
        if inner:
            return all(is_public(str(one)) for one in inner)
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def refuse_private(address: str) -> None:
    """Let a literal address pass, or raise PrivateAddress."""
    if not settings.ALLOW_PRIVATE_ADDRESSES and not is_public(address):
        raise PrivateAddress


def connector(limit: int) -> "aiohttp.TCPConnector":
    """A pool of at most `limit` connections for aiohttp that checks each address as it opens a socket to it."""
    import aiohttp

    def guarded(info: Any) -> socket.socket:
        family, kind, protocol, _, destination = info
        refuse_private(destination[0])
        return socket.socket(family=family, type=kind, proto=protocol)

    return aiohttp.TCPConnector(limit=limit, socket_factory=guarded, ttl_dns_cache=60)


class _Counted(httpx.SyncByteStream):
    """The bytes of a reply as they come over the wire, up to a limit."""

    def __init__(self, stream: httpx.SyncByteStream, limit: int) -> None:
        self._stream, self._left = stream, limit

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise TooLarge
            yield chunk

    def close(self) -> None:
        self._stream.close()


class _Guarded(httpx.BaseTransport):
    """Resolves a name once, checks the addresses and connects to exactly these; Host header and TLS name stay."""

    def __init__(self, max_bytes: int) -> None:
        self._inner = httpx.HTTPTransport(trust_env=False)
        self._max_bytes = max_bytes

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        failure: httpx.ConnectError | httpx.ConnectTimeout | None = None
        for address in _resolve(request):
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": request.url.host},
            )
            try:
                response = self._inner.handle_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error  # nothing was sent: the name's next address may answer
                continue
            assert isinstance(response.stream, httpx.SyncByteStream)  # noqa: S101 — a synchronous transport's own
            response.stream = _Counted(response.stream, self._max_bytes)
            return response
        raise failure or httpx.ConnectError("the name has no address", request=request)

    def close(self) -> None:
        self._inner.close()


def _resolve(request: httpx.Request) -> list[str]:
    """Addresses of a request's host, each checked, in the order of the resolver."""
    try:
        found = socket.getaddrinfo(request.url.host, request.url.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError("the name cannot be resolved", request=request) from error
    addresses = list(dict.fromkeys(str(destination[0]) for *_, destination in found))
    for address in addresses:
        refuse_private(address)
    return addresses


def client(*, timeout_s: float, max_bytes: int, **options: Any) -> httpx.Client:
    """A guarded httpx client.

    Args:
        timeout_s: for each read and write; connecting has CONNECT_TIMEOUT_S at most.
        max_bytes: of one reply, as it comes over the wire; more raises TooLarge.
        options: further arguments of httpx.Client.
    """
    return httpx.Client(
        transport=_Guarded(max_bytes),
        timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S)),
        follow_redirects=False,
        trust_env=False,
        **options,
    )
