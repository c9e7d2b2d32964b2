"""The log-export control plane with the quirks of the real one.

A draft does nothing until it is started; it then passes through its states one poll at a time, so tests need no clock.
"""

import json
import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from agentopt.sandbox import faults
from agentopt.sandbox.faults import Fault
from agentopt.sandbox.traffic import Record

FIELDS = (
    "id", "trace_id", "created_at", "request", "response", "is_success", "ai_org", "ai_model", "req_units", "res_units",
    "total_units", "request_url", "cost", "cost_currency", "response_time", "response_status_code", "mode", "config",
    "prompt_slug", "metadata",
)  # fmt: skip
_LATEST = datetime.max.replace(tzinfo=UTC)


class Refused(Exception):
    """The control plane says no."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def response(self) -> web.Response:
        """The refusal in the control plane's shape."""
        body = {"success": False, "data": {"message": str(self), "errorCode": self.code}}
        return web.json_response(body, status=self.status)


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
    status: str = "draft"
    coming: list[str] = field(default_factory=list)

    @property
    def page(self) -> list[dict[str, Any]]:
        """The rows of the asked page; pages count from 0."""
        size = min(int(self.filters.get("page_size") or 50_000), 50_000)
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
    by_id: dict[str, Export] = field(default_factory=dict)
    signed: dict[str, tuple[str, float]] = field(default_factory=dict)  # signature -> (export id, valid until)

    def routes(self) -> list[web.RouteDef]:
        """Every address of the control plane."""
        base = "/v1/logs/exports"
        return [
            web.post(base, self.create),
            web.get(base, self.index),
            web.get(f"{base}/field-restrictions", self.restrictions),
            web.get(f"{base}/{{id}}", self.retrieve),
            web.put(f"{base}/{{id}}", self.update),
            web.post(f"{base}/{{id}}/start", self.start),
            web.post(f"{base}/{{id}}/cancel", self.cancel),
            web.get(f"{base}/{{id}}/download", self.download),
            web.get("/sandbox/files/{signature}", self.fetch),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Make a draft; its `total` is the number of all matching calls, whatever the page."""
        body = await _object(request)
        description = body.get("description")
        if not isinstance(description, str) or not description:
            raise Refused(400, "AB01", "Invalid request: description is required.")
        workspace = self.key_of(request)
        filters, requested = self._checked(body)
        rows = [record.row for record in self.logs_of(workspace) if _matches(record, filters)]
        made = datetime.now(UTC).isoformat()
        export = Export(str(uuid.uuid4()), workspace, description, filters, requested, rows, made)
        self.by_id[export.id] = export
        return web.json_response({"id": export.id, "total": len(rows), "object": "export"})

    async def index(self, request: web.Request) -> web.Response:
        """All exports of the workspace; listing is no poll."""
        key = self.key_of(request)
        found = [export.shown() for export in self.by_id.values() if export.workspace == key]
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
        export.rows = [record.row for record in self.logs_of(export.workspace) if _matches(record, export.filters)]
        return web.json_response({"id": export.id, "total": len(export.rows), "object": "export"})

    async def start(self, request: web.Request) -> web.Response:
        """Begin to produce a draft."""
        export = self._find(request)
        if await request.read():
            raise Refused(400, "AB01", "Invalid request: the body must be empty.")
        if export.status != "draft":
            raise Refused(400, "AB01", "Invalid request: the export was started before.")
        strange = ["archiving"] if self._struck(export, "export-unknown-status") else []
        end = "failed" if self._struck(export, "export-failed") else "success"
        export.status, export.coming = "queued", ["queued", "in_progress", *strange, end]
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

    async def fetch(self, request: web.Request) -> web.Response:
        """The file itself, as an object store gives it: no header of the gateway may come along."""
        if any(name.lower().startswith("x-portkey") for name in request.headers) or "Authorization" in request.headers:
            return web.Response(status=400, text="<Error><Code>InvalidArgument</Code></Error>")
        export_id, valid_until = self.signed.get(request.match_info["signature"], ("", 0.0))
        if time.monotonic() > valid_until:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
        content = self._content(self.by_id[export_id])
        start = request.http_range.start
        if start:
            size = len(content)
            headers = {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
            return web.Response(status=206, body=content[start:], headers=headers)
        return web.Response(body=content, content_type="application/x-ndjson")

    def _find(self, request: web.Request) -> Export:
        key, export = self.key_of(request), self.by_id.get(request.match_info["id"])
        if export is None or export.workspace != key:
            raise Refused(404, "AB08", "Export not found.")
        return export

    def _struck(self, export: Export, kind: str) -> bool:
        key = json.dumps([export.workspace, export.filters], sort_keys=True)
        return faults.strike(self.faults, key, attempt=0, seed=self.seed, kinds=(kind,)) is not None

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
        lines = [json.dumps({name: row.get(name) for name in names}).encode() for row in export.page]
        if self._struck(export, "export-malformed"):
            lines.insert(min(2, len(lines)), b'{"id": "cut-off", "request": {"messages": [')
        return b"".join(line + b"\n" for line in lines)


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
