"""OpenAI-style lines: bodies under `request` and `response`, or the shape of OpenAI's batch files.

Beside them, where given: id, created_at or timestamp, latency_ms, latency_s or duration_ms, trace_id, conversation_id
or session_id, status_code, provider, prompt_version, cost_usd, metadata.
"""

from typing import Any

import msgspec

from ingestion.formats import calls, fields
from ingestion.formats.bodies import MODEL_LIMIT
from ingestion.formats.calls import Told
from ingestion.values import RawRecord


class _Row(msgspec.Struct):
    request: msgspec.Raw = fields.NO_RAW
    body: msgspec.Raw = fields.NO_RAW
    response: msgspec.Raw = fields.NO_RAW
    error: msgspec.Raw = fields.NO_RAW
    id: Any = None
    custom_id: Any = None
    created_at: Any = None
    timestamp: Any = None
    latency_ms: Any = None
    latency_s: Any = None
    duration_ms: Any = None
    first_token_ms: Any = None
    trace_id: Any = None
    conversation_id: Any = None
    session_id: Any = None
    status_code: Any = None
    provider: Any = None
    model: Any = None
    url: Any = None
    prompt_version: Any = None
    cost_usd: Any = None
    metadata: msgspec.Raw = fields.NO_RAW


class _Envelope(msgspec.Struct):
    """What a batch file puts round a body."""

    body: msgspec.Raw = fields.NO_RAW
    status_code: Any = None
    request_id: Any = None
    url: Any = None
    created: Any = None


def read(line: bytes) -> tuple[RawRecord]:
    """Read one line: one call.

    Raises:
        Unreadable: with a code of `formats.fields` or no_request, no_model.
    """
    row = fields.decode(line, _Row)
    sent, got = _envelope(row.request), _envelope(row.response)
    request = sent.body if bytes(sent.body) else row.request if bytes(row.request) else row.body
    response = got.body if bytes(got.body) else row.response
    if not fields.json_text(request):
        raise fields.Unreadable("no_request", "The row has no request.")
    if not fields.json_text(response) and fields.json_text(row.error):
        response = msgspec.Raw(b'{"error":' + bytes(row.error) + b"}")
    return (calls.build(_told(row, sent, got), request, response),)


def _told(row: _Row, sent: _Envelope, got: _Envelope) -> Told:
    code = row.status_code if row.status_code is not None else got.status_code
    return Told(
        source_id=_first(row, ("id", "custom_id"), calls.ID_LIMIT),
        trace_key=_first(row, ("trace_id", "conversation_id", "session_id"), calls.ID_LIMIT),
        occurred_at=_moment(row, got),
        provider=fields.text(row.provider, "provider", limit=calls.PROVIDER_LIMIT),
        model=fields.text(row.model, "model", limit=MODEL_LIMIT),
        url=fields.text(row.url or sent.url, "url", limit=2000),
        status_code=fields.status_code(code, "status_code"),
        cost_nanousd=fields.cost_nanousd(row.cost_usd, "cost_usd", cents=False),
        latency_us=_latency_us(row),
        first_token_us=fields.duration_us(row.first_token_ms, "first_token_ms", unit_us=1000),
        prompt_version=fields.text(row.prompt_version, "prompt_version", limit=calls.VERSION_LIMIT),
        metadata=fields.metadata(fields.plain(row.metadata)),
    )


class _Created(msgspec.Struct):
    created: Any = None
    created_at: Any = None


def _moment(row: _Row, got: _Envelope) -> Any:
    """The row's time, else the one that the answer carries."""
    for name in ("created_at", "timestamp"):
        if getattr(row, name) is not None:
            return fields.moment(getattr(row, name), name)
    try:
        body = msgspec.json.decode(got.body if bytes(got.body) else row.response, type=_Created)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    # 0 is what servers write that keep no clock
    return fields.moment(body.created or body.created_at or None, "response.created")


def _latency_us(row: _Row) -> int | None:
    for name, unit_us in (("latency_ms", 1000), ("duration_ms", 1000), ("latency_s", 1_000_000)):
        found = fields.duration_us(getattr(row, name), name, unit_us=unit_us)
        if found is not None:
            return found
    return None


def _first(row: _Row, names: tuple[str, ...], limit: int) -> str:
    return next((found for name in names if (found := fields.text(getattr(row, name), name, limit=limit))), "")


def _envelope(raw: msgspec.Raw) -> _Envelope:
    try:
        return msgspec.json.decode(raw, type=_Envelope) if bytes(raw) else _Envelope()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Envelope()
