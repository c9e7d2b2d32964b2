"""The log-export control plane with the quirks of the real one.

A draft does nothing until it is started; it then passes through its states one poll at a time, so tests need no clock.
"""

import asyncio
import gzip
import hashlib
import json
import secrets
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from agentopt.sandbox import faults, quirks
from agentopt.sandbox.faults import Fault
from agentopt.sandbox.traffic import Record

FIELDS = (
    "id", "trace_id", "created_at", "request", "response", "is_success", "ai_org", "ai_model", "req_units", "res_units",
    "total_units", "request_url", "cost", "cost_currency", "response_time", "response_status_code", "mode", "config",
    "prompt_slug", "metadata",
)  # fmt: skip
ENDS = ("success", "failed", "stopped")
_REFUSALS = {
    "export-401": (401, "AB05", "Invalid API Key. Please check your key and try again."),
    "export-402": (402, "AB09", "Your plan does not include this feature."),
    "export-403": (403, "AB03", "You do not have enough permissions to execute this request."),
    "export-429": (429, "AB06", "Too many requests."),
    "export-500": (500, "AB04", "Something went wrong."),
}
_LATEST = datetime.max.replace(tzinfo=UTC)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(Exception):
    """The control plane says no."""

    def __init__(self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers or {}

    def response(self) -> web.Response:
        """The refusal in the control plane's shape."""
        body = {"success": False, "data": {"message": str(self), "errorCode": self.code}}
        return web.json_response(body, status=self.status, headers=self.headers)


@dataclass
class Export:
    """One export; `coming` are the states that later polls will find."""

    id: str
    workspace: str
    description: str
    filters: dict[str, Any]
    requested: list[str]
    rows: list[dict[str, Any]]
    created_at: str
    page_rows: int
    status: str = "draft"
    coming: list[str] = field(default_factory=list)
    fetches: int = 0

    @property
    def is_at_work(self) -> bool:
        """Started and not at its end."""
        return self.status != "draft" and self.status not in ENDS

    @property
    def page(self) -> list[dict[str, Any]]:
        """The rows of the asked page; pages count from 0, and a larger one than allowed is silently cut."""
        size = min(int(self.filters.get("page_size") or self.page_rows), self.page_rows)
        first = int(self.filters.get("current_page") or 0) * size
        return self.rows[first : first + size]

    def shown(self) -> dict[str, Any]:
        """The export as the control plane describes it."""
        return {
            "id": self.id,
            "organisation_id": "sandbox",
            "workspace_id": self.workspace,
            "filters": self.filters,
            "requested_data": self.requested,
            "status": self.status,
            "description": self.description,
            "created_at": self.created_at,
            "last_updated_at": self.created_at,
            "created_by": "sandbox",
            "total_records": len(self.rows) if self.status == "success" else None,
            "object": "export",
        }


@dataclass
class Exports:
    """All exports of all workspaces, and the addresses from which they can be fetched."""

    logs_of: Callable[[str], Sequence[Record]]  # key of a workspace -> its logs
    key_of: Callable[[web.Request], str]
    faults: tuple[Fault, ...]
    seed: int
    denied_fields: tuple[str, ...] = ()
    url_ttl_s: float = 6 * 3600
    page_rows: int = 50_000
    max_running: int = 170
    retry_after_s: float = 1
    now: datetime | None = None
    most_running: int = 0  # exports that were at work at once in one workspace
    asked: Counter[str] = field(default_factory=Counter)  # method and address -> calls
    by_id: dict[str, Export] = field(default_factory=dict)
    signed: dict[str, tuple[str, float]] = field(default_factory=dict)  # signature -> (export id, valid until)

    def routes(self) -> list[web.RouteDef]:
        """Every address of the control plane."""
        base, met = "/v1/logs/exports", self._met
        return [
            web.post(base, met(self.create)),
            web.get(base, met(self.index)),
            web.get(f"{base}/field-restrictions", met(self.restrictions)),
            web.get(f"{base}/{{id}}", met(self.retrieve)),
            web.put(f"{base}/{{id}}", met(self.update)),
            web.post(f"{base}/{{id}}/start", met(self.start)),
            web.post(f"{base}/{{id}}/cancel", met(self.cancel)),
            web.get(f"{base}/{{id}}/download", met(self.download)),
            web.get("/sandbox/files/{signature}", self.fetch),
        ]

    def _met(self, handler: Handler) -> Handler:
        """The handler behind the trouble that meets this attempt at a call."""

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.headers.get("User-Agent", "").startswith("Python-urllib"):
                return web.Response(status=403, text="error code: 1010")
            call = f"{request.method} {request.path}"
            kind = faults.strike(
                self.faults, call, attempt=self.asked[call], seed=self.seed, kinds=faults.CONTROL_KINDS
            )
            self.asked[call] += 1
            if kind == "export-timeout":
                await asyncio.sleep(3_600)
            if kind == "export-html":
                return web.Response(text="<html><body>Welcome to the proxy</body></html>", content_type="text/html")
            if kind in _REFUSALS:
                headers = {"Retry-After": f"{self.retry_after_s:g}"} if kind == "export-429" else {}
                raise Refused(*_REFUSALS[kind], headers=headers)
            return await handler(request)

        return answer

    async def create(self, request: web.Request) -> web.Response:
        """Make a draft; its `total` is the number of all matching calls, whatever the page."""
        body = await _object(request)
        description = body.get("description")
        if not isinstance(description, str) or not description:
            raise Refused(400, "AB01", "Invalid request: description is required.")
        workspace = self.key_of(request)
        filters, requested = self._checked(body)
        rows = self._rows(workspace, filters)
        made = datetime.now(UTC).isoformat()
        export = Export(str(uuid.uuid4()), workspace, description, filters, requested, rows, made, self.page_rows)
        self.by_id[export.id] = export
        return web.json_response({"id": export.id, "total": len(rows), "object": "export"})

    async def index(self, request: web.Request) -> web.Response:
        """All exports of the workspace; listing is no poll."""
        key = self.key_of(request)
        known = [export for export in self.by_id.values() if export.workspace == key and not self._is_gone(export)]
        found = [export.shown() for export in known]
        return web.json_response({"object": "list", "total": len(found), "data": found})

    async def restrictions(self, request: web.Request) -> web.Response:
        """Fields that the organization does not let out."""
        self.key_of(request)
        return web.json_response({"object": "field-restrictions", "denied_fields": list(self.denied_fields)})

    async def retrieve(self, request: web.Request) -> web.Response:
        """One export; each look moves it one state on."""
        export = self._find(request)
        if export.coming:
            export.status = export.coming.pop(0)
        return web.json_response(export.shown())

    async def update(self, request: web.Request) -> web.Response:
        """Change what a draft asks for."""
        export = self._find(request)
        body = await _object(request)
        if export.status != "draft":
            raise Refused(400, "AB01", "Invalid request: only a draft can be changed.")
        export.filters, export.requested = self._checked(body)
        export.rows = self._rows(export.workspace, export.filters)
        return web.json_response({"id": export.id, "total": len(export.rows), "object": "export"})

    async def start(self, request: web.Request) -> web.Response:
        """Begin to produce a draft."""
        export = self._find(request)
        if await request.read():
            raise Refused(400, "AB01", "Invalid request: the body must be empty.")
        if export.status != "draft":
            raise Refused(400, "AB01", "Invalid request: the export was started before.")
        at_work = sum(other.workspace == export.workspace and other.is_at_work for other in self.by_id.values())
        strange = ["archiving"] if self._struck(export, "export-unknown-status") else []
        export.status, export.coming = "queued", ["queued", "in_progress", *strange, *self._end(export, at_work)]
        self.most_running = max(self.most_running, at_work + 1)
        return web.json_response({"message": "Export started successfully", "object": "export"})

    async def cancel(self, request: web.Request) -> web.Response:
        """Stop an export that is under way."""
        export = self._find(request)
        if export.status not in ("queued", "in_progress"):
            raise Refused(400, "AB01", "Invalid request: only a queued or running export can be cancelled.")
        export.status, export.coming = "stopped", []
        return web.json_response({"message": "Export cancelled successfully", "object": "export"})

    async def download(self, request: web.Request) -> web.Response:
        """A fresh signed address of a finished export."""
        export = self._find(request)
        if export.status != "success":
            raise Refused(400, "AB01", "Invalid request: the export is not ready.")
        signature = secrets.token_urlsafe(24)
        self.signed[signature] = (export.id, time.monotonic() + self.url_ttl_s)
        address = request.url.origin() / "sandbox" / "files" / signature
        return web.json_response({"signed_url": str(address.with_query({"X-Expires": str(int(self.url_ttl_s))}))})

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """The file itself, as an object store gives it: no header of the gateway may come along."""
        if any(name.lower().startswith("x-portkey") for name in request.headers) or "Authorization" in request.headers:
            return web.Response(status=400, text="<Error><Code>InvalidArgument</Code></Error>")
        export_id, valid_until = self.signed.get(request.match_info["signature"], ("", 0.0))
        if time.monotonic() > valid_until:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
        export = self.by_id[export_id]
        export.fetches += 1
        if export.fetches == 1 and self._struck(export, "export-expired"):
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
        content = self._content(export)
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Accept-Ranges": "bytes"}
        if self._struck(export, "export-encoded"):
            headers["Content-Encoding"] = "gzip"
        start = 0 if self._struck(export, "export-no-range") else request.http_range.start or 0
        size = len(content)
        if start >= size > 0:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
        if start:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        if export.fetches == 1 and self._struck(export, "export-broken"):
            return await _break_off(request, content, headers)
        return web.Response(status=206 if start else 200, body=content[start:], headers=headers)

    def _find(self, request: web.Request) -> Export:
        key, export = self.key_of(request), self.by_id.get(request.match_info["id"])
        if export is None or export.workspace != key or self._is_gone(export):
            raise Refused(404, "AB08", "Export not found.")
        return export

    def _is_gone(self, export: Export) -> bool:
        """Lost after it was started, as by a service that was set up anew."""
        return export.status != "draft" and self._struck(export, "export-gone")

    def _end(self, export: Export, at_work: int) -> list[str]:
        """The state in which an export stays; none: it never ends."""
        if at_work >= self.max_running or self._struck(export, "export-failed"):
            return ["failed"]
        if self._struck(export, "export-stopped"):
            return ["stopped"]
        return [] if self._struck(export, "export-stuck") else ["success"]

    def _rows(self, workspace: str, filters: dict[str, Any]) -> list[dict[str, Any]]:
        now = self.now or datetime.now(UTC)
        return [
            record.row
            for record in self.logs_of(workspace)
            if _matches(record, filters)
            and quirks.is_there(record.row, record.at, now=now, faults=self.faults, seed=self.seed)
        ]

    def _struck(self, export: Export, kind: str) -> bool:
        """By what was asked, and how often before: asked anew, an export may go well."""
        key = json.dumps([export.workspace, export.filters], sort_keys=True)
        same = [other.id for other in self.by_id.values() if other.filters == export.filters]
        attempt = same.index(export.id)
        return faults.strike(self.faults, key, attempt=attempt, seed=self.seed, kinds=(kind,)) is not None

    def _checked(self, body: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        allowed = [name for name in FIELDS if name not in self.denied_fields]
        filters, requested = body.get("filters") or {}, body.get("requested_data") or allowed
        unknown = set(requested) - set(FIELDS)
        if unknown:
            raise Refused(400, "AB01", f"Invalid request: requested_data {min(unknown)!r} is not known.")
        if set(requested) & set(self.denied_fields):
            raise Refused(400, "AB01", "Invalid request: the organization does not let these fields out.")
        try:
            _window(filters)
            in_range = int(filters.get("page_size") or 1) > 0 and int(filters.get("current_page") or 0) >= 0
        except (TypeError, ValueError, AttributeError) as error:
            raise Refused(400, "AB01", "Invalid request: filters do not make sense.") from error
        if not in_range:
            raise Refused(400, "AB01", "Invalid request: page_size and current_page must not be negative.")
        return dict(filters), list(requested)

    def _content(self, export: Export) -> bytes:
        # both come whether they were asked for or not, as in the real service
        names = [*export.requested, *(n for n in ("metadata", "portkeyHeaders") if n not in export.requested)]
        rows = [quirks.bend(row, self.faults, seed=self.seed) for row in export.page]
        if self._struck(export, "export-short"):
            rows = rows[: len(rows) // 2]
        live = ("prompt_id", "prompt_version_id", "cache_status")
        lines = [json.dumps({name: row[name] for name in (*names, *live) if name in row}).encode() for row in rows]
        if self._struck(export, "export-malformed"):
            lines.insert(min(2, len(lines)), b'{"id": "cut-off", "request": {"messages": [')
        content = b"".join(line + b"\n" for line in lines)
        packed = self._struck(export, "export-gzip") or self._struck(export, "export-encoded")
        return gzip.compress(content, mtime=0) if packed else content


async def _break_off(request: web.Request, content: bytes, headers: dict[str, str]) -> web.StreamResponse:
    """Promise the whole file and close in the middle of it."""
    response = web.StreamResponse(headers={**headers, "Content-Length": str(len(content))})
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()  # what was written goes out first
    return response


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise Refused(400, "AB01", "Invalid request: the body is no JSON.") from error
    if not isinstance(body, dict):
        raise Refused(400, "AB01", "Invalid request: the body is no object.")
    return body


def _window(filters: dict[str, Any]) -> tuple[datetime, datetime]:
    """Both ends are optional here, as in the real service; a moment without a zone is UTC."""
    moments = []
    for name, default in (
        ("time_of_generation_min", datetime.fromtimestamp(0, UTC)),
        ("time_of_generation_max", _LATEST),
    ):
        text = filters.get(name)
        at = datetime.fromisoformat(text) if text else default
        moments.append(at if at.tzinfo else at.replace(tzinfo=UTC))
    return moments[0], moments[1]


def _matches(record: Record, filters: dict[str, Any]) -> bool:
    since, until = _window(filters)
    wanted = {
        "ai_model": record.row["ai_model"],
        "trace_id": record.row["trace_id"],
        "status_code": str(record.row["response_status_code"]),
    }
    return since <= record.at <= until and all(
        value in str(filters[name]).split(",") for name, value in wanted.items() if filters.get(name)
    )
