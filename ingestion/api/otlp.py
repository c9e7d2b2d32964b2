"""OTLP over HTTP: `POST /otlp/v1/traces`, answered as OpenTelemetry's exporters expect it."""

from typing import Any

import msgspec
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from agentopt.lib import payload
from agentopt.lib.drf import error_envelope
from agentopt.lib.errors import Invalid, UnknownEncoding
from ingestion import otlp
from projects import access
from projects.authentication import TokenAuthentication
from projects.models import ApiToken, Project, Role

JSON, PROTOBUF = "application/json", "application/x-protobuf"
PROJECT_HEADER = "X-Agentopt-Project"
RETRY_AFTER_S = 5
# google.rpc.Code
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 3, 415: 3, 429: 8, 503: 14}
_INTERNAL = 13


class _AsAsked(BaseContentNegotiation):
    """The answer has the encoding of the request, whatever the sender says it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return None

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return JSONRenderer(), JSON


class TracesView(APIView):
    """Spans of model calls become logs; other spans are accepted and left out."""

    authentication_classes = [TokenAuthentication]
    content_negotiation_class = _AsAsked

    @extend_schema(exclude=True)
    def post(self, request: Request) -> HttpResponse:
        project = _project(request)
        kind = _content_type(request)
        if kind not in (JSON, PROTOBUF):
            raise UnknownEncoding(f"Expected the Content-Type {PROTOBUF} or {JSON}.")
        body = payload.read(request._request, limit=otlp.MAX_BYTES)  # noqa: SLF001 — no parser may read it first
        found = otlp.receive(project, body, is_json=kind == JSON)
        answer = HttpResponse(_success(found, is_json=kind == JSON), content_type=kind)
        counts = {"added": found.added, "already-there": found.already_there, "set-aside": found.set_aside}
        answer["X-Agentopt-Spans"] = " ".join(f"{name}={n}" for name, n in {**counts, "ignored": found.ignored}.items())
        return answer

    def handle_exception(self, exc: Exception) -> HttpResponseBase:  # type: ignore[override]
        """A google.rpc.Status in the encoding of the request; Retry-After only where a repeat can succeed."""
        if isinstance(exc, OperationalError | InterfaceError):
            status, message, headers = 503, "The database is busy. Send it again.", {"Retry-After": str(RETRY_AFTER_S)}
        else:
            told = super().handle_exception(exc)
            status, message = told.status_code, told.data["error"]["message"]
            headers = {name: told[name] for name in ("Retry-After", "WWW-Authenticate", "Allow") if name in told}
        is_json = _content_type(self.request) != PROTOBUF
        body = _status(_CODES.get(status, _INTERNAL), message, is_json=is_json)
        return HttpResponse(body, status=status, headers=headers, content_type=JSON if is_json else PROTOBUF)

    def get_exception_handler(self) -> Any:
        return error_envelope


def _content_type(request: Request) -> str:
    return str(request.META.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()


def _project(request: Request) -> Project:
    """The token's project; a personal token names it in a header."""
    token = request.auth
    named = request.headers.get(PROJECT_HEADER) or (token.project_id if isinstance(token, ApiToken) else None)
    if named is None:
        raise Invalid(
            f"A personal token reaches several projects: name one in the header {PROJECT_HEADER}.",
            fields={PROJECT_HEADER: "Expected a number or slug."},
        )
    return access.project_for(request.user, named, Role.MEMBER, scope=access.INGEST)


def _success(found: otlp.Received, *, is_json: bool) -> bytes:
    """ExportTraceServiceResponse, empty where all spans were accepted."""
    if not found.set_aside:
        return b"{}" if is_json else b""
    if is_json:
        part = {"rejectedSpans": str(found.set_aside), "errorMessage": found.message}
        return msgspec.json.encode({"partialSuccess": part})
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = found.set_aside
    response.partial_success.error_message = found.message
    written: bytes = response.SerializeToString()
    return written


def _status(code: int, message: str, *, is_json: bool) -> bytes:
    """google.rpc.Status; its two fields are written by hand, for it comes with no package that we need."""
    if is_json:
        return msgspec.json.encode({"code": code, "message": message})
    text = message.encode()[:1000]
    return bytes([0x08, code, 0x12, len(text) & 0x7F | 0x80, len(text) >> 7]) + text


urlpatterns: list[URLPattern] = [path("traces", TracesView.as_view(), name="otlp-traces")]
