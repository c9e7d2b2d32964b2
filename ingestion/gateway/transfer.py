"""The file behind a signed address: fetched so that a break goes on where it was, unpacked, cut into lines."""

import itertools
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from agentopt.lib import http
from ingestion.formats import fields
from ingestion.gateway import errors
from ingestion.gateway.control import unreached

MAX_EXPORT_BYTES = 5 * 1024**3
MAX_LINE_BYTES = fields.MAX_LINE_BYTES
PIECE_BYTES = 1024**2
READ_TIMEOUT_S = 30.0  # shorter than the lease of a job
GZIP_MAGIC = b"\x1f\x8b"
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class Changed(errors.GatewayDown):
    """What is fetched now is another file than what was fetched before."""


@dataclass
class Transfer:
    """How far a file is fetched. `tag` names its content, `size` is all of it; "" and None: not told."""

    offset: int = 0
    tag: str = ""
    size: int | None = None


def piece(url: str, at: Transfer) -> Iterator[bytes]:
    """Fetch bytes as they are stored, from `at.offset` on, which moves with each chunk that is given.

    A client of its own, as no header of ours may reach the store.

    Raises:
        Changed: the file is another one than `at` tells.
        CallFailed: one of its other children.
    """
    # as it is stored: a place in the file must mean the same in every reply
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={at.offset}-"} if at.offset else {})}
    with http.client(timeout_s=READ_TIMEOUT_S, max_bytes=MAX_EXPORT_BYTES) as client:
        try:
            with client.stream("GET", url, headers=headers) as reply:
                if not _is_at_its_end(reply, at):
                    yield from _rest(reply, at)
        except (httpx.HTTPError, http.TooLarge, http.PrivateAddress) as error:
            failure = _broken(error)
        else:
            return
    raise failure from None


def _is_at_its_end(reply: httpx.Response, at: Transfer) -> bool:
    """Whether there was nothing left to fetch; raises what a refusal means."""
    if reply.status_code == 416 and at.offset:
        if _range(reply)[1] == at.offset:
            at.size = at.offset
            return True
        raise _changed()
    if reply.status_code >= 300:
        raise _refused(reply)
    if reply.headers.get("content-encoding", "identity").lower() not in ("identity", "gzip", "x-gzip"):
        raise errors.BadAnswer("The export is encoded in a way that cannot be read.", upstream_status=200)
    return False


def _rest(reply: httpx.Response, at: Transfer) -> Iterator[bytes]:
    start, size = _range(reply) if reply.status_code == 206 else (0, _length(reply))
    tag = reply.headers.get("etag", "")
    if (at.tag and tag and tag != at.tag) or (at.size is not None and size is not None and size != at.size):
        raise _changed()
    if start is None or start > at.offset:
        raise errors.BadAnswer("The object store sent another part of the file.", upstream_status=206)
    at.tag, at.size = tag or at.tag, at.size if size is None else size
    if max(at.size or 0, at.offset) > MAX_EXPORT_BYTES:
        raise http.TooLarge
    skip = at.offset - start  # a store that knows no ranges sends the file from its start
    for chunk in reply.iter_raw():
        given = chunk[skip:]
        skip = max(0, skip - len(chunk))
        if given:
            at.offset += len(given)
            yield given


def _range(reply: httpx.Response) -> tuple[int | None, int | None]:
    found = _RANGE.fullmatch(reply.headers.get("content-range", "").strip())
    if not found:
        return None, None
    start, size = found[1], found[2]
    return None if start is None else int(start), None if size == "*" else int(size)


def _length(reply: httpx.Response) -> int | None:
    text = reply.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


def _changed() -> Changed:
    return Changed("The file of the export changed while it was fetched; the next sync fetches it anew.")


def _refused(reply: httpx.Response) -> errors.CallFailed:
    reply.read()
    if reply.status_code in (401, 403, 404, 410):
        # the address lives for hours only; the next one is fresh
        return errors.GatewayDown(
            f"The download address was refused (HTTP {reply.status_code}); it may have expired.",
            upstream_status=reply.status_code,
        )
    return errors.from_reply(reply.status_code, reply.headers, reply.content)


def _broken(error: Exception) -> errors.CallFailed:
    if isinstance(error, http.PrivateAddress):
        return unreached(error)
    if isinstance(error, http.TooLarge):
        return _too_large()
    return errors.GatewayDown("The download of the export broke off; the next sync resumes it.")


def _too_large() -> errors.BadAnswer:
    size = MAX_EXPORT_BYTES // 1024**3
    return errors.BadAnswer(f"The export is larger than {size} GB; sync a shorter time.", upstream_status=200)


# ------------------------------------------------------------------------------------------------ bytes to lines
def lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines of a file in order, gzip or not, without their ends, also the empty ones.

    Of a line over MAX_LINE_BYTES one byte more than that is given, so that whoever reads it sets it aside as too long.

    Raises:
        BadAnswer: the compressed data are damaged, or more than MAX_EXPORT_BYTES once unpacked.
    """
    try:
        # twice: a store may pack a packed file once more for the way
        yield from _cut(_unpacked(_unpacked(chunks)))
    except http.TooLarge:
        failure = _too_large()
    except zlib.error:
        failure = errors.BadAnswer("The export is compressed in a way that cannot be read.", upstream_status=200)
    else:
        return
    raise failure from None


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Bytes of a file that may be gzip, told by its first two bytes; several members in a row are one file."""
    first = b""
    for chunk in chunks:
        first += chunk
        if len(first) >= 2:
            break
    whole = itertools.chain([first], chunks)
    return _inflated(whole) if first[:2] == GZIP_MAGIC else whole


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip in pieces: a small file may unpack to more than memory holds."""
    unpack, left, ended = zlib.decompressobj(wbits=31), MAX_EXPORT_BYTES, True
    for chunk in chunks:
        rest, full = chunk, False
        while rest or full:
            piece = unpack.decompress(rest, PIECE_BYTES)
            full, ended = len(piece) == PIECE_BYTES, unpack.eof
            rest = unpack.unused_data if ended else unpack.unconsumed_tail
            left -= len(piece)
            if left < 0:
                raise http.TooLarge
            yield piece
            if ended:
                unpack, full = zlib.decompressobj(wbits=31), False
    if not ended:
        raise zlib.error("cut")


def _cut(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest, limit = bytearray(), MAX_LINE_BYTES + 1
    for chunk in chunks:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            rest += chunk[start : min(end, start + limit - len(rest))]
            yield bytes(rest).removesuffix(b"\r")
            rest.clear()
            start = end + 1
        if len(rest) < limit:
            rest += chunk[start : start + limit - len(rest)]
    if rest:
        yield bytes(rest)
