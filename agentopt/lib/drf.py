"""The API's error envelope, keyset pages, and what every operation has in its schema."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import structlog
from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.db import Error
from django.db.models import Model, Q, QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import exception_handler

from agentopt.lib import database
from agentopt.lib.errors import AgentOptError, Invalid

Row = TypeVar("Row", bound=Model)
PAGE_SIZE, MAX_PAGE_SIZE = 50, 500
log = structlog.get_logger(__name__)


# ------------------------------------------------------------------------------------------------ errors
_CODES = {
    exceptions.NotAuthenticated: "not_authenticated",
    exceptions.AuthenticationFailed: "not_authenticated",
    exceptions.PermissionDenied: "not_allowed",
    exceptions.NotFound: "not_found",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.ParseError: "unreadable",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
    exceptions.NotAcceptable: "not_acceptable",
    exceptions.Throttled: "throttled",
}


def envelope(code: str, message: str, *, fields: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The body of every answer that is no success."""
    return {"error": {"code": code, "message": message, "fields": dict(fields or {})}}


def error_envelope(error: Exception, context: dict[str, Any]) -> Response:
    """Turn whatever a view raised into the envelope; an error of our own is logged and tells nothing."""
    if isinstance(error, AgentOptError):
        body = envelope(error.code, error.message, fields=error.fields)
        if error.proposal is not None:
            body["error"]["proposal"] = dict(error.proposal)
        return Response(body, status=error.status)
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if isinstance(error, exceptions.ValidationError):
        fields = dict(_flat(error.detail))
        return Response(envelope("invalid", "The request does not make sense.", fields=fields), status=400)
    answer = exception_handler(error, context)  # sets WWW-Authenticate and Retry-After
    if answer is not None:
        assert isinstance(error, exceptions.APIException)  # noqa: S101 — the only kind it answers
        answer.data = envelope(_CODES.get(type(error), "error"), str(error.detail))
        return answer
    request = context["request"]
    got_request_exception.send(sender=type(context["view"]), request=request._request)  # noqa: SLF001
    log.error("request failed", path=request.path, exc_info=error)
    says = database.trouble(error) if isinstance(error, Error) else None
    if says:
        return Response(envelope("unavailable", says), status=503)
    return Response(envelope("internal", "An error of our own. The server's log has the place."), status=500)


def _flat(detail: Any, path: str = "") -> list[tuple[str, str]]:
    """The first sentence for each offending input, by its dotted name."""
    if isinstance(detail, Mapping):
        return [
            pair for name, inner in detail.items() for pair in _flat(inner, f"{path}.{name}" if path else str(name))
        ]
    if isinstance(detail, list) and any(isinstance(one, Mapping | list) for one in detail):
        return [pair for n, inner in enumerate(detail) for pair in _flat(inner, f"{path}.{n}" if path else str(n))]
    text = " ".join(str(one) for one in detail) if isinstance(detail, list) else str(detail)
    return [(f".{path}".removesuffix(".non_field_errors").lstrip(".") or "request", text)]


# ------------------------------------------------------------------------------------------------ what a request brings
class Given(serializers.Serializer[Any]):
    """The body of a request: a field that is not known is refused by name, not passed over, here and inside."""

    def to_internal_value(self, data: Any) -> Any:
        known = [name for name, field in self.fields.items() if not field.read_only]
        unknown = [str(name) for name in data if name not in known] if isinstance(data, Mapping) else []
        if unknown:
            expected = f"There is no such field. Expected {', '.join(known)}."
            said = [name[:100].encode(errors="backslashreplace").decode() for name in unknown[:20]]  # half a character
            raise exceptions.ValidationError({name: [expected] for name in said})
        return super().to_internal_value(data)


def body_of(kind: type[Given], request: Request, *, partial: bool = False) -> dict[str, Any]:
    """What a request's body says, checked.

    Raises:
        ValidationError: it does not fit.
    """
    form = kind(data=request.data, partial=partial)
    form.is_valid(raise_exception=True)
    found: dict[str, Any] = form.validated_data
    return found


# ------------------------------------------------------------------------------------------------ keyset pages
@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows of a page, and the cursor of the next one; None when this is the last."""

    rows: list[Row]
    next: str | None


def paging(request: Request) -> tuple[str | None, int]:
    """Return `after` and `limit` of a request.

    Raises:
        Invalid: the limit is no number from 1 to MAX_PAGE_SIZE.
    """
    text = request.query_params.get("limit", str(PAGE_SIZE))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MAX_PAGE_SIZE):
        raise Invalid("The limit makes no sense.", fields={"limit": f"Expected a number from 1 to {MAX_PAGE_SIZE}."})
    return request.query_params.get("after") or None, int(text)


def page_of(rows: "QuerySet[Row]", *, key: str, after: str | None, limit: int) -> Page[Row]:
    """Cut one page out of rows, newest first by (key, pk): no count, no offset.

    Args:
        key: a field that is never null; a moment, a number or a text. `pk` alone is fine.
        after: the cursor of the page before.

    Raises:
        Invalid: no cursor of ours.
    """
    if after is not None:
        value, pk = _read_cursor(after)
        try:
            rows = rows.filter(
                Q(pk__lt=pk) if key == "pk" else Q(**{f"{key}__lt": value}) | Q(**{key: value}, pk__lt=pk)
            )
        except (TypeError, ValueError) as error:
            raise _no_cursor() from error
    found = list(rows.order_by(*dict.fromkeys([f"-{key}", "-pk"]))[: limit + 1])
    more = len(found) > limit
    last = found[limit - 1] if more else None
    return Page(found[:limit], None if last is None else _cursor(getattr(last, key), last.pk))


def _cursor(value: Any, pk: Any) -> str:
    text = json.dumps(["t", value.isoformat(), pk] if isinstance(value, datetime) else ["v", value, pk])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[Any, int]:
    try:
        kind, value, pk = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not isinstance(pk, int) or kind not in ("t", "v") or isinstance(value, list | dict):
            raise _no_cursor()
        return (datetime.fromisoformat(value) if kind == "t" else value), pk
    except (binascii.Error, ValueError, TypeError) as error:
        raise _no_cursor() from error


def _no_cursor() -> Invalid:
    return Invalid("The page cannot be found.", fields={"after": "Expected the `next` of the page before."})


PAGE_PARAMETERS = [
    OpenApiParameter("after", str, description="`next` of the page before."),
    OpenApiParameter("limit", int, description=f"1 to {MAX_PAGE_SIZE}, default {PAGE_SIZE}."),
]
WINDOW_PARAMETERS = [OpenApiParameter(name, str, description="ISO-8601; [since, until)") for name in ("since", "until")]


def page_schema(name: str, item: type[serializers.Serializer[Any]]) -> Any:
    """Schema of a page: `{"items": [...], "next": cursor or null}`."""
    return inline_serializer(name, {"items": item(many=True), "next": serializers.CharField(allow_null=True)})


def page_body(page: Page[Any], item: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Body of a page."""
    return {"items": item(page.rows, many=True).data, "next": page.next}


# ------------------------------------------------------------------------------------------------ schema
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "fields"],
            "properties": {
                "code": {"type": "string", "description": "Stable."},
                "message": {"type": "string", "description": "What is wrong and what to do."},
                "fields": {"type": "object", "additionalProperties": {"type": "string"}},
                "proposal": {"type": "object", "description": "What to send instead, where that is known."},
            },
        }
    },
}
_IDEMPOTENCY = {
    "in": "header", "name": "Idempotency-Key", "schema": {"type": "string", "maxLength": 200},
    "description": "A repeat with the same key within a day gets the same answer and does nothing.",
}  # fmt: skip


def describe_errors(result: dict[str, Any], **_given: Any) -> dict[str, Any]:
    """Add to every operation the error envelope, and to every POST the Idempotency-Key."""
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = _ERROR
    reference = {"$ref": "#/components/schemas/Error"}
    answer = {"description": "Anything else", "content": {"application/json": {"schema": reference}}}
    for operations in result["paths"].values():
        for method, operation in operations.items():
            operation["responses"]["default"] = answer
            if method == "post":
                operation.setdefault("parameters", []).append(_IDEMPOTENCY)
    return result
