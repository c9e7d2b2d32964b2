"""Log exports: made as a draft, started, polled, fetched from where the gateway says."""

import itertools
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from agentopt.lib import http
from ingestion.gateway import errors, patience
from ingestion.gateway.base import Draft, ExportState
from ingestion.gateway.control import ControlPlane, unreached

if TYPE_CHECKING:
    from portkey_ai import Portkey

MAX_EXPORT_BYTES = 5 * 1024**3
MAX_LINE_BYTES = 10 * 1024**2
PIECE_BYTES = 1024**2
FIELDS = (
    "id", "trace_id", "created_at", "request", "response", "is_success", "ai_org", "ai_model", "req_units", "res_units",
    "total_units", "request_url", "cost", "cost_currency", "response_time", "response_status_code", "mode", "config",
    "prompt_slug", "metadata",
)  # fmt: skip
FAILED_STATES = frozenset({"failed", "failure", "stopped", "cancelled", "canceled", "expired", "error"})
_EXPORTS = "/logs/exports"


class LogExports:
    """Log exports: made as a draft, started, polled, fetched. Everything raises children of errors.CallFailed."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def denied_fields(self) -> frozenset[str]:
        """Fields that the workspace does not let out; none where the gateway does not know the question."""
        try:
            # the SDK has no method for it
            reply = self._plane.call(lambda sdk: sdk.get(path=f"{_EXPORTS}/field-restrictions", cast_to=None).json())
        except errors.Rejected as error:
            if error.upstream_status in (400, 404, 405):
                return frozenset()
            raise
        return frozenset(_denied(reply))

    def create(self, since: datetime, until: datetime) -> Draft:
        """Make a draft of all calls in a window, or find the one made for it before.

        Exports cannot be deleted, and a create whose answer was lost may have worked, so every try looks first.
        """
        wanted = [name for name in FIELDS if name not in self.denied_fields()]
        description = f"agentopt {_iso(since)} to {_iso(until)}"

        def make(sdk: "Portkey") -> Draft:
            made = sdk.logs.exports.create(
                filters={"time_of_generation_min": _iso(since), "time_of_generation_max": _iso(until)},
                description=description,  # optional in the documents, required by the service
                requested_data=wanted,
            )
            return _draft(made.model_dump())

        return self._plane.call(lambda sdk: self._find(description) or make(sdk))

    def _find(self, description: str) -> Draft | None:
        try:
            listed = self._plane.once(lambda sdk: sdk.logs.exports.list().model_dump())
        except (errors.AuthRefused, errors.Rejected):
            return None  # a key that may export need not be allowed to list
        rows = [row for row in listed.get("data") or () if isinstance(row, dict)]
        fitting = (row for row in rows if row.get("description") == description)
        # a finished one is of an earlier pull of the window, and lacks what came late
        usable = (row for row in fitting if str(row.get("status", "")).lower() not in {*FAILED_STATES, "success"})
        found = next(usable, None)
        return _draft(found) if found else None

    def start(self, export_id: str) -> None:
        """Ask the gateway to produce a draft; one that is already under way is left alone."""
        try:
            self._plane.call(lambda sdk: sdk.logs.exports.start(export_id=export_id).model_dump())
        except errors.Rejected:
            # a start whose answer was lost: the repeat is refused, yet it did start
            if self.state(export_id).draft:
                raise

    def state(self, export_id: str) -> ExportState:
        """Ask how far an export is. A word nobody knows means: wait."""
        return self._plane.call(lambda sdk: _state(sdk.logs.exports.retrieve(export_id=export_id).model_dump()))

    def lines(self, export_id: str) -> Iterator[bytes]:
        """Lines of a finished export in order, without their ends, also the empty ones.

        A line longer than MAX_LINE_BYTES is cut there, so that it is set aside by whoever reads it and not lost. A
        broken download starts again, with a fresh address, behind the lines already given.
        """
        given = 0
        for broken in itertools.count(1):
            try:
                for line in itertools.islice(self._fetch(export_id), given, None):
                    given += 1
                    yield line
            except errors.GatewayDown:
                if broken == patience.ATTEMPTS:
                    raise
                time.sleep(min(patience.WAIT_INITIAL_S * 2**broken, patience.WAIT_MAX_S))
            else:
                return

    def _fetch(self, export_id: str) -> Iterator[bytes]:
        found = self._plane.call(lambda sdk: sdk.logs.exports.download(export_id=export_id).model_dump())
        yield from _read(_checked_address(found.get("signed_url")))


def _read(url: str) -> Iterator[bytes]:
    """Lines of a file behind a signed address, by a client of its own: no header of ours may reach the store."""
    with http.client(timeout_s=60, max_bytes=MAX_EXPORT_BYTES) as client:
        try:
            with client.stream("GET", url) as reply:
                if reply.status_code >= 300:
                    raise _refused_download(reply)
                yield from _lines(_unpacked(reply.iter_bytes()))
        except (httpx.HTTPError, http.TooLarge, http.PrivateAddress, zlib.error) as error:
            failure = _broken_download(error)
        else:
            return
    raise failure from None


def _draft(row: dict[str, Any]) -> Draft:
    if not isinstance(row.get("id"), str) or not row["id"]:
        raise TypeError("an export without an id")
    total = row.get("total")
    return Draft(row["id"], _total(row.get("total_records") if total is None else total))


def _state(row: dict[str, Any]) -> ExportState:
    status = row.get("status")
    if not isinstance(status, str) or not status:
        raise TypeError("an export without a state")
    word = status.lower()
    return ExportState(
        status, draft=word == "draft", ready=word == "success", failed=word in FAILED_STATES,
        total=_total(row.get("total_records")),
    )  # fmt: skip


def _total(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _denied(reply: Any) -> Iterator[str]:
    """Names under any of the keys that have been seen, also inside `data` or `export_settings`."""
    if not isinstance(reply, dict):
        return
    for key in ("deniedFields", "denied_fields", "restricted_fields", "denied"):
        if isinstance(reply.get(key), list):
            yield from (name for name in reply[key] if isinstance(name, str))
    for key in ("data", "export_settings"):
        yield from _denied(reply.get(key))


def _checked_address(url: Any) -> str:
    """A server that names our next address is not to be trusted with it: https, or loopback where that is allowed."""
    if isinstance(url, str):
        parts = urlsplit(url)
        is_local = parts.hostname in ("127.0.0.1", "::1", "localhost") and settings.ALLOW_PRIVATE_ADDRESSES
        if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and is_local)):
            return url
    raise errors.BadAnswer("The gateway gave no usable download address (https is needed).", upstream_status=200)


def _refused_download(reply: httpx.Response) -> errors.CallFailed:
    reply.read()
    if reply.status_code in (401, 403, 404, 410):
        # the address lives for hours only; the next one is fresh
        return errors.GatewayDown(
            f"The download address was refused (HTTP {reply.status_code}); it may have expired.",
            upstream_status=reply.status_code,
        )
    return errors.from_reply(reply.status_code, reply.headers, reply.content)


def _broken_download(error: Exception) -> errors.CallFailed:
    if isinstance(error, http.PrivateAddress):
        return unreached(error)
    if isinstance(error, http.TooLarge):
        size = MAX_EXPORT_BYTES // 1024**3
        return errors.BadAnswer(f"The export is larger than {size} GB; sync a shorter time.", upstream_status=200)
    if isinstance(error, zlib.error):
        return errors.BadAnswer("The export is compressed in a way that cannot be read.", upstream_status=200)
    return errors.GatewayDown("The download of the export broke off; the next sync resumes it.")


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Bytes of a file that may be gzip, told by its first two bytes; several members in a row are one file."""
    first = b""
    for chunk in chunks:
        first += chunk
        if len(first) >= 2:
            break
    whole = itertools.chain([first], chunks)
    return _inflated(whole) if first[:2] == b"\x1f\x8b" else whole


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


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines of a stream of bytes; each is cut at MAX_LINE_BYTES."""
    rest = bytearray()
    for chunk in chunks:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            rest += chunk[start : min(end, start + MAX_LINE_BYTES - len(rest))]
            yield bytes(rest[:MAX_LINE_BYTES]).removesuffix(b"\r")
            rest.clear()
            start = end + 1
        if len(rest) < MAX_LINE_BYTES:
            rest += chunk[start:]
    if rest:
        yield bytes(rest[:MAX_LINE_BYTES])
