"""One call out of its bodies and what the source says beside them: status, refusal, obstacle to a replay."""

from datetime import datetime

import msgspec

from ingestion import refusals
from ingestion.formats import bodies, fields
from ingestion.values import RawRecord, Usage

ID_LIMIT = 200
PROVIDER_LIMIT = 60
VERSION_LIMIT = 120
NOT_CHAT_PATHS = ("/messages", "/responses", "/embeddings", "/completions", "/images", "/audio", "/moderations")


class Told(msgspec.Struct, frozen=True):
    """What a source says beside the bodies; None and "" where it does not."""

    source_id: str = ""
    trace_key: str = ""
    occurred_at: datetime | None = None
    provider: str = ""
    model: str = ""
    url: str = ""
    succeeded: bool | None = None
    status_code: int | None = None
    usage: Usage = msgspec.field(default_factory=lambda: Usage(None, None))
    cost_nanousd: int | None = None
    latency_us: int | None = None
    first_token_us: int | None = None
    prompt_version: str = ""
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


def build(told: Told, request_raw: msgspec.Raw, response_raw: msgspec.Raw) -> RawRecord:
    """Join what the source says with what the bodies tell.

    Raises:
        Unreadable: no_model, when neither says which model was called; or a field of the bodies is out of range.
    """
    return join(told, bodies.read_request(request_raw), response_raw)


def join(told: Told, request: bodies.Request, response_raw: msgspec.Raw) -> RawRecord:
    """The same where the request has been read already."""
    answer = bodies.read_answer(response_raw)
    model = told.model or request.model or answer.model
    if not model:
        raise fields.Unreadable("no_model", "Neither the row nor its request says which model was called.")
    usage = _usage(answer.usage, told.usage)
    ok = _succeeded(told, answer)
    return RawRecord(
        source_id=told.source_id or None,
        trace_key=told.trace_key or None,
        occurred_at=told.occurred_at,
        provider=told.provider,
        model=model,
        status="ok" if ok else "failed",
        request=request.text,
        response=fields.json_text(response_raw),
        prompt_version=told.prompt_version,
        status_code=told.status_code,
        finish_reason=answer.finish_reason,
        refused=_refused(request.question, answer),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        source_cost_nanousd=told.cost_nanousd,
        latency_us=told.latency_us,
        first_token_us=told.first_token_us,
        uses_tools=request.uses_tools,
        uses_json=request.uses_json,
        has_images=request.has_images,
        streamed=request.streamed or answer.streamed,
        obstacle=_obstacle(request, answer, told, ok=ok),
        preview=bodies.preview(request.question),
        messages=request.messages + answer.given,
        tool_calls=request.tool_calls + len(answer.tool_calls),
        metadata=told.metadata,
    )


def _usage(read: Usage, told: Usage) -> Usage:
    """The provider's own counts where the answer has them, else the source's."""
    given = told.input_tokens if read.input_tokens is None else read.input_tokens
    said = told.output_tokens if read.output_tokens is None else read.output_tokens
    cached = told.cached_tokens if read.cached_tokens is None else read.cached_tokens
    written = told.cache_write_tokens if read.cache_write_tokens is None else read.cache_write_tokens
    thought = told.reasoning_tokens if read.reasoning_tokens is None else read.reasoning_tokens
    at_most = bodies.at_most
    return Usage(given, said, at_most(cached, given), at_most(written, given), at_most(thought, said))


def _succeeded(told: Told, answer: bodies.Answer) -> bool:
    if told.succeeded is not None:
        return told.succeeded
    if told.status_code is not None:
        return told.status_code < 400
    return not answer.error


def _refused(question: str, answer: bodies.Answer) -> bool | None:
    """None without anything to tell by; an answer that only calls tools refuses nothing."""
    if answer.refusal or answer.finish_reason in ("content_filter", "refusal"):
        return True
    if answer.text is None:
        return False if answer.tool_calls else None
    return refusals.refused(question, answer.text)


def _obstacle(request: bodies.Request, answer: bodies.Answer, told: Told, *, ok: bool) -> str:
    """Why the call cannot be replayed, as a code of LogRecord.Obstacle; "" where it can."""
    if not request.text:
        return "no_body"
    if not request.whole:
        return "truncated"
    path = told.url.split("?", maxsplit=1)[0]
    if not request.is_chat or (path.endswith(NOT_CHAT_PATHS) and not path.endswith("/chat/completions")):
        return "not_chat"
    if request.has_images:
        return "images"
    if answer.given:
        return ""
    return "no_answer" if ok else _obstacle_of_failure(told.status_code)


def _obstacle_of_failure(status_code: int | None) -> str:
    """A failure of the model counts against it and stays; a request refused before tells nothing of the model."""
    if status_code is None:
        return "no_answer"
    return "" if status_code >= 500 or status_code == 408 else "refused_by_gateway"
