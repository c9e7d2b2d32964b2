"""Portkey's log exports, and LogObjects (`GET /logs/{id}`, log stores of self-hosted gateways).

Costs are cents, times JavaScript dates or ISO, tokens floats; `portkeyHeaders` and unknown fields are dropped.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from ingestion.formats import calls, fields
from ingestion.formats.bodies import MODEL_LIMIT
from ingestion.formats.calls import Told
from ingestion.values import RawRecord, Usage


class _Row(msgspec.Struct):
    id: Any = None
    trace_id: Any = None
    created_at: Any = None
    request: msgspec.Raw = fields.NO_RAW
    response: msgspec.Raw = fields.NO_RAW
    is_success: Any = None
    ai_org: Any = None
    ai_model: Any = None
    req_units: Any = None
    res_units: Any = None
    request_url: Any = None
    cost: Any = None
    response_time: Any = None
    response_status_code: Any = None
    prompt_slug: Any = None
    prompt_version_id: Any = None
    metadata: msgspec.Raw = fields.NO_RAW
    object_id: Any = msgspec.field(name="_id", default=None)
    metrics: msgspec.Raw = fields.NO_RAW


class _Envelope(msgspec.Struct):
    """The request or response of a LogObject; headers are never read, but for the trace id."""

    url: Any = None
    status: Any = None
    body: msgspec.Raw = fields.NO_RAW
    response_time: Any = msgspec.field(name="responseTime", default=None)
    portkey_headers: msgspec.Raw = msgspec.field(name="portkeyHeaders", default=fields.NO_RAW)
    messages: msgspec.Raw = fields.NO_RAW


def read(line: bytes) -> tuple[RawRecord]:
    """Read one row of an export, or one LogObject.

    Raises:
        Unreadable: with a code of `formats.fields` or no_request, no_model.
    """
    row = fields.decode(line, _Row)
    if not bytes(row.request) and not _text(row.ai_model, "ai_model", MODEL_LIMIT):
        raise fields.Unreadable("no_request", "The row has neither a request nor a model.")
    envelope = _envelope(row.request)
    if row.object_id is not None or (bytes(envelope.body) and not bytes(envelope.messages)):
        return (_read_object(row, envelope),)
    told = _told(row, fields.metadata(fields.plain(row.metadata)))
    return (calls.build(told, row.request, row.response),)


def _told(row: _Row, metadata: dict[str, str]) -> Told:
    return Told(
        source_id=_text(row.id, "id", calls.ID_LIMIT),
        trace_key=_text(row.trace_id, "trace_id", calls.ID_LIMIT),
        occurred_at=fields.moment(row.created_at, "created_at"),
        provider=_text(row.ai_org, "ai_org", calls.PROVIDER_LIMIT),
        model=_text(row.ai_model, "ai_model", MODEL_LIMIT),
        url=_text(row.request_url, "request_url", 2000),
        succeeded=fields.switch(row.is_success),
        status_code=fields.status_code(row.response_status_code, "response_status_code"),
        usage=_units(row.req_units, row.res_units),
        cost_nanousd=fields.cost_nanousd(row.cost, "cost", cents=True),
        latency_us=fields.duration_us(row.response_time, "response_time", unit_us=1000),
        prompt_version=_prompt_version(row),
        metadata=metadata,
    )


def _prompt_version(row: _Row) -> str:
    """`slug@version` of a saved prompt, as far as known."""
    slug = _text(row.prompt_slug, "prompt_slug", calls.VERSION_LIMIT)
    version = _text(row.prompt_version_id, "prompt_version_id", calls.VERSION_LIMIT)
    return "@".join(part for part in (slug, version) if part)[: calls.VERSION_LIMIT]


def _units(request_units: Any, response_units: Any) -> Usage:
    """No chat request has 0 tokens: there, 0 stands for unknown, and so does the answer's 0 beside it."""
    given, said = fields.tokens(request_units, "req_units"), fields.tokens(response_units, "res_units")
    return Usage(given or None, said if given else said or None)


def _envelope(raw: msgspec.Raw) -> _Envelope:
    try:
        return msgspec.json.decode(raw, type=_Envelope) if bytes(raw) else _Envelope()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Envelope()


def _read_object(row: _Row, request: _Envelope) -> RawRecord:
    """A LogObject: bodies stand under `.body`, figures under `metrics`, metadata in two arrays beside each other."""
    response = _envelope(row.response)
    found = fields.plain(row.metrics)
    metrics: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    headers = fields.plain(request.portkey_headers)
    sent = headers.get("x-portkey-trace-id") if isinstance(headers, Mapping) else None
    took = response.response_time if row.response_time is None else row.response_time
    flat = _Row(
        id=row.object_id if row.object_id is not None else row.id,
        trace_id=metrics.get("trace_id") or row.trace_id or sent,
        created_at=row.created_at if row.created_at is not None else metrics.get("created_at"),
        is_success=row.is_success if row.is_success is not None else metrics.get("is_success"),
        ai_org=row.ai_org or metrics.get("ai_org"),
        ai_model=row.ai_model or metrics.get("ai_model"),
        req_units=metrics.get("req_units", row.req_units),
        res_units=metrics.get("res_units", row.res_units),
        request_url=request.url,
        cost=metrics.get("cost", row.cost),
        response_time=metrics.get("response_time", took),
        response_status_code=response.status if response.status is not None else metrics.get("response_status_code"),
        prompt_slug=metrics.get("prompt_slug"),
        prompt_version_id=metrics.get("prompt_version_id"),
    )  # fmt: skip
    return calls.build(_told(flat, _paired(metrics)), request.body, response.body)


def _paired(metrics: Mapping[str, Any]) -> dict[str, str]:
    keys, entries = metrics.get("metadata.key"), metrics.get("metadata.value")
    if not isinstance(keys, list) or not isinstance(entries, list):
        return {}
    return fields.metadata({key: entry for key, entry in zip(keys, entries, strict=False) if isinstance(key, str)})


def _text(value: Any, name: str, limit: int) -> str:
    return fields.text(value, name, limit=limit)
