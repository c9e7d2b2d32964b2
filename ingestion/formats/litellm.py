"""LiteLLM: the standard logging payload of its callbacks, and spend logs out of the proxy's database."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ingestion.formats import assembly, bodies, calls, fields, rows
from ingestion.formats.bodies import MODEL_LIMIT
from ingestion.formats.calls import Told
from ingestion.formats.rows import Row
from ingestion.values import RawRecord, Usage

_PATHS = {"embedding": "/embeddings", "text_completion": "/completions", "responses": "/responses",
          "anthropic_messages": "/messages", "image": "/images", "transcription": "/audio", "speech": "/audio",
          "moderation": "/moderations"}  # fmt: skip
"""What a type of call that is no chat holds in its name, and the path that it stands for."""
_METADATA = ("model_group", "call_type", "cache_hit", "request_tags", "end_user", "user", "team_id", "api_base")
_OF_KEY = ("user_api_key_alias", "user_api_key_team_id", "user_api_key_team_alias", "user_api_key_user_id",
           "user_api_key_org_id")  # fmt: skip


def read(line: bytes) -> tuple[RawRecord]:
    """Read one row: one call. Keys, also hashed ones, and headers are never read.

    Raises:
        Unreadable: with a code of `formats.fields`, or no_call, no_model.
    """
    row = rows.read(line)
    if not any(row.raw(name) for name in ("call_type", "custom_llm_provider", "response_cost", "spend", "startTime")):
        raise fields.Unreadable("no_call", "Expected a logging payload or a spend log of LiteLLM.")
    beside = row.object("metadata")
    model = row.text("model", "model_group", limit=MODEL_LIMIT)
    response = assembly.response(row.raw("response"))
    failure = {**_mapping(beside.get("error_information")), **row.object("error_information")}
    told = _told(row, beside, failure, model=model)
    if told.succeeded is False and not bytes(response):
        response = assembly.error(row.text("error_str", limit=100_000) or _message(failure))
    return (calls.build(told, _request(row, model), response),)


def _request(row: Row, model: str) -> msgspec.Raw:
    """The body that the proxy received where it was stored, else messages and parameters."""
    sent = row.object("proxy_server_request")
    raw = assembly.inner(row.raw("proxy_server_request"))
    if "messages" in sent or "input" in sent:
        return raw
    body = sent.get("body")
    if isinstance(body, Mapping) and ("messages" in body or "input" in body):
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])["body"]
    return assembly.request(row.raw("messages"), model=model, parameters=row.object("model_parameters"))


def _told(row: Row, beside: Mapping[str, Any], failure: Mapping[str, Any], *, model: str) -> Told:
    start, end = row.moment("startTime", "start_time"), row.moment("endTime", "end_time")
    first = row.moment("completionStartTime", "completion_start_time")
    status = (row.text("status", limit=40) or fields.text(beside.get("status"), "status", limit=40)).lower()
    latency_us = rows.elapsed_us(start, end)
    if latency_us is None:
        latency_us = row.duration_us("request_duration_ms", unit_us=1000)
    if latency_us is None:
        latency_us = row.duration_us("response_time", unit_us=1_000_000)
    inner = {**_mapping(beside.get("requester_metadata")), **_mapping(beside.get("spend_logs_metadata"))}
    named = {name: beside[name] for name in _OF_KEY if beside.get(name)}
    return Told(
        source_id=row.text("id", "request_id", limit=calls.ID_LIMIT),
        trace_key=row.text("session_id", "trace_id", limit=calls.ID_LIMIT),
        occurred_at=start,
        provider=_provider(row, model),
        model=model,
        url=next((path for word, path in _PATHS.items() if word in row.text("call_type", limit=100)), ""),
        succeeded=None if status not in ("success", "failure") else status == "success",
        status_code=_status_code(failure),
        usage=_usage(row, beside),
        cost_nanousd=row.cost_nanousd("response_cost", "spend"),
        latency_us=latency_us,
        # without streaming the first token is said to come with the last
        first_token_us=rows.elapsed_us(start, first) if first != end else None,
        metadata=fields.metadata({**inner, **named, **row.metadata(*_METADATA)}),
    )


def _provider(row: Row, model: str) -> str:
    return row.text("custom_llm_provider", limit=calls.PROVIDER_LIMIT) or model.rpartition("/")[0][:40]


def _status_code(failure: Mapping[str, Any]) -> int | None:
    found = failure.get("error_code")
    return int(found) if isinstance(found, int | str) and str(found) in _CODES else None


_CODES = {str(code) for code in range(100, 600)}


def _usage(row: Row, beside: Mapping[str, Any]) -> Usage:
    """The row's own counts, and what its usage object tells of their parts; 0 and 0: nothing was counted."""
    given, said = row.tokens("prompt_tokens"), row.tokens("completion_tokens")
    whole = bodies.usage_of(beside.get("usage_object"))
    if not given and not said:
        given, said = whole.input_tokens or None, whole.output_tokens or None
    return Usage(
        given,
        said,
        bodies.at_most(whole.cached_tokens, given),
        bodies.at_most(whole.cache_write_tokens, given),
        bodies.at_most(whole.reasoning_tokens, said),
    )


def _message(failure: Mapping[str, Any]) -> str:
    found = failure.get("error_message") or failure.get("error_class")
    return found if isinstance(found, str) else "The call failed."


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
