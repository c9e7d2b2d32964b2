"""The body of a request: read within a bound, unpacked within the same bound."""

import zlib
from typing import Any, Protocol

from agentopt.lib.errors import Invalid, TooLarge, UnknownEncoding

_GZIP = 31  # zlib's window bits for gzip with its header
_MEGABYTE = 2**20


class Received(Protocol):
    """A request as far as its body goes."""

    META: dict[str, Any]

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes of the body."""
        ...


def read(request: Received, *, limit: int) -> bytes:
    """The whole body as it was before the sender packed it by gzip.

    Raises:
        TooLarge: packed or unpacked it is over the limit.
        UnknownEncoding: it is packed otherwise.
        Invalid: the packed bytes are damaged.
    """
    packed: bytes = _stream(request).read(limit + 1)
    _check(packed, limit)
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding in ("", "identity"):
        return packed
    if encoding not in ("gzip", "x-gzip"):
        raise UnknownEncoding("The body's Content-Encoding is not known here: send it plain or as gzip.")
    return unpack(packed, limit=limit)


def _stream(request: Received) -> Any:
    """Where the body comes from; one without a length is read to its end where the server marks that."""
    chunked = "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
    if chunked and not request.META.get("CONTENT_LENGTH") and request.META.get("wsgi.input_terminated"):
        return request.META["wsgi.input"]
    return request


def unpack(packed: bytes, *, limit: int) -> bytes:
    """Gzip's members one after the other, never more than the limit in memory.

    Raises:
        TooLarge: there is more than the limit.
        Invalid: the bytes are no gzip, or end too early.
    """
    out = b""
    while packed:
        member = zlib.decompressobj(wbits=_GZIP)
        try:
            out += member.decompress(packed, limit + 1 - len(out))
        except zlib.error as error:
            raise Invalid("The body is no gzip, or damaged.", fields={"request": "Expected gzip."}) from error
        _check(out, limit)
        if not member.eof:
            raise Invalid("The gzip body ends too early.", fields={"request": "Expected all of the gzip."})
        packed = member.unused_data
    return out


def _check(found: bytes, limit: int) -> None:
    if len(found) > limit:
        raise TooLarge(
            f"A request may carry {limit // _MEGABYTE} MB, before and after it is packed: send smaller ones, "
            "or import a file of logs."
        )
