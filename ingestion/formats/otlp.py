"""OTLP traces in their JSON form: a row is one ExportTraceServiceRequest, and its model calls become records.

Spans of other kinds are left out. Which spelling of which convention is read where: docs/otlp.md.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ingestion.formats import calls, fields, spans
from ingestion.formats.bodies import FINISH_LIMIT, MODEL_LIMIT, at_most
from ingestion.formats.calls import Told
from ingestion.values import RawRecord, Usage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPERATIONS = frozenset({"chat", "text_completion", "generate_content", "completion"})
_MODELS = (
    "gen_ai.request.model", "llm.request.model_name", "llm.request.model", "llm.model_name",
    "gen_ai.response.model", "llm.response.model_name", "llm.response.model",
)  # fmt: skip
_CONVERSATIONS = (
    "gen_ai.conversation.id", "session.id", "traceloop.association.properties.session_id", "langfuse.session.id",
)  # fmt: skip
_PROVIDERS = {
    "aws.bedrock": "bedrock", "aws_bedrock": "bedrock", "aws": "bedrock",
    "az.ai.openai": "azure-openai", "azure.ai.openai": "azure-openai", "azure": "azure-openai",
    "az.ai.inference": "azure-ai", "azure.ai.inference": "azure-ai",
    "gcp.vertex_ai": "vertex-ai", "vertex_ai": "vertex-ai", "vertexai": "vertex-ai",
    "gcp.gemini": "google", "gcp.gen_ai": "google", "gemini": "google",
    "mistral_ai": "mistral-ai", "mistralai": "mistral-ai", "x_ai": "x-ai", "xai": "x-ai", "together_ai": "together-ai",
    "_other": "",
}  # fmt: skip
_WORD = re.compile(r"\w+")
_STATUS_OF_ERROR = {
    "BadRequestError": 400, "AuthenticationError": 401, "PermissionDeniedError": 403, "NotFoundError": 404,
    "APITimeoutError": 408, "TimeoutError": 408, "timeout": 408, "ConflictError": 409, "UnprocessableEntityError": 422,
    "RateLimitError": 429, "InternalServerError": 500, "ServiceUnavailableError": 503,
}  # fmt: skip
# what is said or measured stands in fields of its own; all else that a span tells becomes metadata
_OURS = ("gen_ai.", "llm.", "openinference.", "openai.", "ai.", "exception.", "error.", "otel.", "telemetry.",
         "process.", "input", "output", "langfuse.observation.", "traceloop.entity.", "traceloop.prompt.")  # fmt: skip
_KEPT = ("gen_ai.agent.name", "gen_ai.agent.id", "gen_ai.agent.version", "error.type")
_CONTENT = frozenset({"prompt", "prompts", "completion", "message", "messages", "input", "output", "content", "body"})
_METADATA_CHARACTERS = 256


class AnyValue(msgspec.Struct, rename="camel", omit_defaults=True):
    """A value of an attribute."""

    string_value: str | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bool_value: bool | None = None
    array_value: "Values | None" = None
    kvlist_value: "KeyValues | None" = None


class Values(msgspec.Struct, omit_defaults=True):
    """A list of values."""

    values: list[AnyValue | None] | None = None


class KeyValue(msgspec.Struct, omit_defaults=True):
    """An attribute."""

    key: str = ""
    value: AnyValue | None = None


class KeyValues(msgspec.Struct, omit_defaults=True):
    """A map as a value."""

    values: list[KeyValue] | None = None


class Event(msgspec.Struct, rename="camel", omit_defaults=True):
    """Something that happened within a span."""

    name: str = ""
    time_unix_nano: int | str = 0
    attributes: list[KeyValue] | None = None


class Status(msgspec.Struct, omit_defaults=True):
    """How a span ended."""

    code: int | str = 0
    message: str = ""


class Span(msgspec.Struct, rename="camel", omit_defaults=True):
    """A span as OTLP writes it in JSON; ids are hex, whole numbers of 64 bits are text."""

    trace_id: str = ""
    span_id: str = ""
    name: str = ""
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    attributes: list[KeyValue] | None = None
    dropped_attributes_count: int = 0
    events: list[Event] | None = None
    dropped_events_count: int = 0
    status: Status | None = None


class Resource(msgspec.Struct, omit_defaults=True):
    """What sent the spans."""

    attributes: list[KeyValue] | None = None


class _RawScopeSpans(msgspec.Struct):
    scope: msgspec.Raw = fields.NO_RAW
    spans: list[msgspec.Raw] | None = None


class _RawResourceSpans(msgspec.Struct, rename="camel"):
    resource: msgspec.Raw = fields.NO_RAW
    scope_spans: list[_RawScopeSpans] | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_spans: list[_RawResourceSpans] | None = None


class _Sketch(msgspec.Struct):
    attributes: list[KeyValue] | None = None


@dataclass(frozen=True)
class Split:
    """A request cut into rows of one model call each; `ignored` counts the spans of other kinds."""

    rows: list[bytes]
    ignored: int


def split(body: bytes) -> Split:
    """Cut a request so that each model call is accepted or set aside on its own.

    Raises:
        Unreadable: with a code of `formats.fields` or no_spans: the whole is no request.
    """
    rows, ignored = [], 0
    for resource, scope, span in _spans(_request(body)):
        if _may_be_call(span):
            rows.append(row(resource, scope, bytes(span)))
        else:
            ignored += 1
    return Split(rows, ignored)


def row(resource: bytes, scope: bytes, span: bytes) -> bytes:
    """A request that holds one span."""
    return b'{"resourceSpans":[{"resource":%b,"scopeSpans":[{"scope":%b,"spans":[%b]}]}]}' % (
        resource or b"null", scope or b"null", span,
    )  # fmt: skip


def _request(body: bytes) -> _Request:
    found = fields.decode(body, _Request)
    if found.resource_spans is None and body.strip() != b"{}":
        raise fields.Unreadable("no_spans", "It has no resourceSpans: is it an OTLP request for traces?")
    return found


def _spans(request: _Request) -> Iterator[tuple[bytes, bytes, msgspec.Raw]]:
    for sender in request.resource_spans or ():
        for part in sender.scope_spans or ():
            for span in part.spans or ():
                yield bytes(sender.resource), bytes(part.scope), span


def _may_be_call(raw: msgspec.Raw) -> bool:
    """A span that cannot be read counts as one: reading it says what is wrong with it."""
    try:
        found = msgspec.json.decode(raw, type=_Sketch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    return is_call({one.key: one.value and one.value.string_value for one in found.attributes or ()})


def is_call(attributes: Mapping[str, Any]) -> bool:
    """Whether the attributes of a span are those of a model call; only texts among their values are looked at."""
    kind = _word(attributes, "openinference.span.kind")
    if kind:
        return kind == "llm"
    operation = _word(attributes, "gen_ai.operation.name") or _word(attributes, "llm.request.type")
    if operation:
        return operation in _OPERATIONS
    return not _word(attributes, "traceloop.span.kind") and any(name in attributes for name in _MODELS)


def _word(attributes: Mapping[str, Any], name: str) -> str:
    found = attributes.get(name)
    return found.lower() if isinstance(found, str) else ""


def read(line: bytes) -> list[RawRecord]:
    """Read one request: a record for each model call in it, none where it holds no call.

    Raises:
        Unreadable: with a code of `formats.fields` or bad_id, no_model, no_spans.
    """
    out = []
    for resource, _scope, raw in _spans(_request(line)):
        span = fields.decode(bytes(raw), Span)
        try:
            attributes = flat(span.attributes)
            if is_call(attributes):
                out.append(_record(span, attributes, sender=_sender(resource)))
        except RecursionError:
            raise fields.Unreadable("too_deep", "The values of an attribute are nested too deeply.") from None
    return out


def _sender(raw: bytes) -> dict[str, Any]:
    found = fields.decode(raw, Resource) if raw not in (b"", b"null") else Resource()
    return flat(found.attributes)


def flat(pairs: list[KeyValue] | None) -> dict[str, Any]:
    """Attributes as Python values, by name."""
    return {pair.key: _value(pair.value) for pair in pairs or ()}


def _value(found: AnyValue | None) -> Any:
    if found is None:
        return None
    if found.array_value is not None:
        return [_value(one) for one in found.array_value.values or ()]
    if found.kvlist_value is not None:
        return flat(found.kvlist_value.values)
    if found.int_value is not None:
        whole = _whole(found.int_value) if isinstance(found.int_value, str) else found.int_value
        return whole if whole is not None and -(2**63) <= whole < 2**63 else None
    for simple in (found.string_value, found.double_value, found.bool_value):
        if simple is not None:
            return simple
    return None


def _record(span: Span, attributes: dict[str, Any], *, sender: Mapping[str, Any]) -> RawRecord:
    events = [
        spans.Event(one.name, flat(one.attributes), _nanoseconds(one.time_unix_nano)) for one in span.events or ()
    ]
    attributes = spans.with_details(attributes, events)
    spoken = spans.rebuild(attributes, events, dropped=span.dropped_attributes_count + span.dropped_events_count > 0)
    record = calls.build(_told(span, attributes, events, sender), spoken.request, spoken.response)
    reasons = spans.listed(attributes.get("gen_ai.response.finish_reasons"))
    finish = record.finish_reason or spans.finish_reason(reasons[0] if reasons else None)
    return msgspec.structs.replace(
        record,
        finish_reason=fields.storable(finish)[:FINISH_LIMIT],
        uses_tools=record.uses_tools or spoken.uses_tools,
        streamed=record.streamed or spoken.streamed,
        obstacle=spoken.obstacle if spoken.obstacle and record.request else record.obstacle,
    )


def _told(span: Span, attributes: dict[str, Any], events: list[spans.Event], sender: Mapping[str, Any]) -> Told:
    trace_id, span_id = _hex(span.trace_id, "traceId", 32), _hex(span.span_id, "spanId", 16)
    started, ended = _nanoseconds(span.start_time_unix_nano), _nanoseconds(span.end_time_unix_nano)
    failed = str(getattr(span.status, "code", 0)) in ("2", "STATUS_CODE_ERROR") or bool(attributes.get("error.type"))
    return Told(
        source_id=f"{trace_id}-{span_id}",
        trace_key=_conversation({**sender, **attributes}) or trace_id,
        occurred_at=_moment(started),
        provider=_provider(attributes),
        model=fields.text(spans.first(attributes, *_MODELS), "model", limit=MODEL_LIMIT),
        succeeded=not failed,
        status_code=_status_code(attributes, events, failed=failed),
        usage=_usage(attributes),
        cost_nanousd=fields.cost_nanousd(
            spans.first(attributes, "llm.cost.total", "gen_ai.usage.cost"), "cost", cents=False
        ),
        latency_us=_between(started, ended),
        first_token_us=_first_token_us(attributes, events, started),
        prompt_version=_prompt_version(attributes),
        metadata=_metadata(attributes, sender),
    )


def _hex(text: str, name: str, digits: int) -> str:
    found = text.strip().lower()
    if len(found) != digits or not set(found) <= set("0123456789abcdef") or not found.strip("0"):
        raise fields.Unreadable("bad_id", f"{name}: expected {digits} hex digits, not all of them 0.")
    return found


def _whole(text: str) -> int | None:
    try:
        return int(text) if len(text) <= 24 else None
    except ValueError:
        return None


def _nanoseconds(found: int | str) -> int:
    whole = _whole(found) if isinstance(found, str) else found
    return whole if whole is not None and 0 < whole < 2**63 else 0


def _moment(nanoseconds: int) -> datetime | None:
    if not nanoseconds:
        return None
    found = _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    if not fields.EARLIEST <= found < fields.LATEST:
        raise fields.Unreadable("absurd_time", "startTimeUnixNano: a time before 2010 or after 2100.")
    return found


def _between(started: int, ended: int) -> int | None:
    """A span without an end, or that ends before it starts, tells no duration."""
    if not started or ended < started:
        return None
    return fields.duration_us((ended - started) // 1000, "endTimeUnixNano", unit_us=1)


def _first_token_us(attributes: Mapping[str, Any], events: list[spans.Event], started: int) -> int | None:
    told = spans.first(attributes, "gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token")
    if told is not None:
        return fields.duration_us(told, "time_to_first_chunk", unit_us=1_000_000)
    seen = [event.at for event in events if event.name == "First Token Stream Event"]
    return _between(started, seen[0]) if seen else None


def _conversation(attributes: Mapping[str, Any]) -> str:
    """The conversation where it is told and fits; "" else."""
    for name in _CONVERSATIONS:
        found = attributes.get(name)
        clean = fields.storable(found).strip() if isinstance(found, str) else ""
        if 0 < len(clean) <= calls.ID_LIMIT:
            return clean
    return ""


def _provider(attributes: Mapping[str, Any]) -> str:
    told = spans.first(attributes, "gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "llm.vendor")
    found = fields.text(told, "provider", limit=calls.PROVIDER_LIMIT).lower()
    return _PROVIDERS.get(found, found)


def _tokens(attributes: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return fields.tokens(spans.first(attributes, *names), names[0])


def _usage(attributes: Mapping[str, Any]) -> Usage:
    """Cached tokens belong to the input; where they exceed it, the sender left them out of it."""
    given, said = _tokens(attributes, spans.INPUT), _tokens(attributes, spans.OUTPUT)
    cached, written = _tokens(attributes, spans.CACHE_READ), _tokens(attributes, spans.CACHE_WRITE)
    beside = (cached or 0) + (written or 0)
    if given is not None and beside > given:
        given += beside
    return Usage(given, said, cached, written, at_most(_tokens(attributes, spans.REASONING), said))


def _status_code(attributes: Mapping[str, Any], events: list[spans.Event], *, failed: bool) -> int | None:
    told = spans.first(attributes, "http.response.status_code", "http.status_code", "error.type")
    if isinstance(told, int) or (isinstance(told, str) and told.isascii() and told.isdigit() and len(told) == 3):
        return int(told) if 100 <= int(told) <= 599 else None
    names = [told, *(event.attributes.get("exception.type") for event in events)]
    words = [word for name in names if failed and isinstance(name, str) for word in _WORD.findall(name)]
    return next((_STATUS_OF_ERROR[word] for word in words if word in _STATUS_OF_ERROR), None)


def _prompt_version(attributes: Mapping[str, Any]) -> str:
    """`name@version` of a managed prompt, as far as told."""
    name = spans.first(attributes, "gen_ai.prompt.name", "traceloop.prompt.key", "langfuse.observation.prompt.name")
    version = spans.first(
        attributes, "gen_ai.prompt.version", "traceloop.prompt.version", "langfuse.observation.prompt.version",
        "llm.prompt_template.version",
    )  # fmt: skip
    parts = [fields.text(part, "prompt version", limit=calls.VERSION_LIMIT) for part in (name, version)]
    return "@".join(part for part in parts if part)[: calls.VERSION_LIMIT]


def _metadata(attributes: Mapping[str, Any], sender: Mapping[str, Any]) -> dict[str, str]:
    """What a span and its sender tell that has no field of its own; long texts are content and stay out."""
    own = spans.opened(attributes.get("metadata"))
    told: dict[str, Any] = dict(own) if isinstance(own, dict) else {}
    for name, found in [*attributes.items(), *sender.items()]:
        key = name.removeprefix("traceloop.association.properties.")
        value = ", ".join(x for x in found if isinstance(x, str)) if isinstance(found, list) else found
        content = name.startswith(_OURS) or not _CONTENT.isdisjoint(name.replace("_", ".").split("."))
        if key and key != "metadata" and (name in _KEPT or not content):
            told.setdefault(key, value)
    short = {
        key: value for key, value in told.items() if not isinstance(value, str) or len(value) <= _METADATA_CHARACTERS
    }
    return fields.metadata({key: value for key, value in short.items() if value != ""})
