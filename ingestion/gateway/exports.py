"""Log exports: made as a draft, started, polled, fetched from where the gateway says."""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings

from ingestion.gateway import errors, patience, transfer
from ingestion.gateway.base import Draft, ExportState
from ingestion.gateway.control import ControlPlane

if TYPE_CHECKING:
    from portkey_ai import Portkey

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
        denied = self.denied_fields()
        wanted = [name for name in FIELDS if name not in denied]
        filters: Any = {"time_of_generation_min": _iso(since), "time_of_generation_max": _iso(until)}
        description = f"agentopt {_iso(since)} to {_iso(until)}"

        def make(sdk: "Portkey") -> Draft:
            made = sdk.logs.exports.create(
                filters=filters,
                description=description,  # optional in the documents, required by the service
                requested_data=wanted,
            )
            return _draft(made.model_dump())

        def count(draft: Draft) -> Draft:
            """A list does not tell the total of a draft; an update that changes nothing does."""
            told = self._plane.once(
                lambda sdk: sdk.logs.exports.update(
                    export_id=draft.id, filters=filters, requested_data=wanted
                ).model_dump()
            )
            return Draft(draft.id, _draft({**told, "id": draft.id}).total)

        draft = self._plane.call(lambda sdk: self._find(description) or make(sdk))
        if draft.total is None:
            with contextlib.suppress(errors.CallFailed):  # it is under way already, or cannot be changed here
                return count(draft)
        return draft

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

    def file(self, export_id: str, at: transfer.Transfer | None = None) -> Iterator[bytes]:
        """The bytes of a finished export as they are stored, from `at.offset` on.

        A broken download goes on where it broke off, with a fresh address, as long as each try gets further.

        Raises:
            Changed: the file is another one than `at` tells.
        """
        at = at or transfer.Transfer()
        reached, broken = at.offset, 0
        while True:
            try:
                yield from transfer.piece(self._address(export_id), at)
            except errors.GatewayDown as error:
                reached, broken = at.offset, 1 if at.offset > reached else broken + 1
                if isinstance(error, transfer.Changed) or not error.retryable or broken == patience.ATTEMPTS:
                    raise
                time.sleep(min(patience.WAIT_INITIAL_S * 2**broken, patience.WAIT_MAX_S))
            else:
                return

    def lines(self, export_id: str) -> Iterator[bytes]:
        """The lines of a finished export, through memory only; see `transfer.lines`."""
        return transfer.lines(self.file(export_id))

    def _address(self, export_id: str) -> str:
        found = self._plane.call(lambda sdk: sdk.logs.exports.download(export_id=export_id).model_dump())
        return _checked_address(found.get("signed_url"))


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
