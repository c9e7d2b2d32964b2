"""Tables: rows of short columns, as in CSV and Parquet, under any of the names that tools and people give them.

A call is told by bodies in JSON (`request`, `response`, `messages`), or by the texts of a prompt and an answer. Columns
we do not know become metadata.
"""

import re
from typing import Any

import msgspec

from ingestion.formats import assembly, bodies, calls, fields, rows
from ingestion.formats.bodies import MODEL_LIMIT
from ingestion.formats.calls import Told
from ingestion.formats.rows import Row
from ingestion.values import RawRecord, Usage

_COLUMNS = {
    "id": "id request_id log_id call_id uuid generation_id",
    "trace": "trace_id conversation_id session_id thread_id run_id",
    "time": "timestamp time ts created_at created occurred_at start_time started_at date datetime request_created_at",
    "provider": "provider ai_org vendor custom_llm_provider llm_provider",
    "model": "model model_name ai_model request_model provided_model_name engine deployment llm",
    "request": "request request_body body request_json payload",
    "response": "response response_body response_json",
    "messages": "messages input_messages",
    "prompt": "prompt input question query user_prompt user_message user_input instruction",
    "system": "system_prompt system_message",
    "answer": "output answer completion reply response_text assistant_message model_output output_text",
    "input_tokens": "input_tokens prompt_tokens req_units tokens_in context_tokens n_input_tokens",
    "output_tokens": "output_tokens completion_tokens res_units tokens_out generated_tokens n_output_tokens",
    "cached": "cached_tokens cache_read_tokens cache_read_input_tokens prompt_cache_read_tokens",
    "cache_write": "cache_write_tokens cache_creation_input_tokens prompt_cache_write_tokens",
    "reasoning": "reasoning_tokens",
    "usd": "cost_usd total_cost_usd cost total_cost response_cost spend",
    "cents": "cost_cents cost_in_cents",
    "latency_ms": "latency_ms duration_ms delay_ms response_time_ms elapsed_ms",
    "latency_s": "latency_s latency_seconds duration_s duration_seconds",
    "first_ms": "first_token_ms ttft_ms time_to_first_token_ms",
    "status_code": "status_code http_status http_status_code response_status_code response_status",
    "status": "status is_success success ok",
    "error": "error error_message error_str",
    "prompt_version": "prompt_version prompt_slug",
    "metadata": "metadata properties request_properties",
}
NAMES = {re.sub(r"\W|_", "", name): field for field, names in _COLUMNS.items() for name in names.split()}
"""Field of a column, by its name without case, spaces and signs."""
SAID = frozenset({"answer", "response", "model", "output_tokens"})
ASKED = frozenset({"request", "messages", "prompt"})
_GOOD = frozenset({"ok", "success", "succeeded", "completed", "true", "1", "yes"})
_BAD = frozenset({"failed", "failure", "error", "false", "0", "no", "timeout"})


def field_of(name: str) -> str:
    """What a column tells; "" for one we do not know."""
    return NAMES.get(re.sub(r"\W|_", "", name.lower()), "")


def read(line: bytes) -> tuple[RawRecord]:
    """Read one row: one call.

    Raises:
        Unreadable: with a code of `formats.fields`, or no_call, no_model.
    """
    given = rows.read(line).given
    named: dict[str, msgspec.Raw] = {}
    rest: dict[str, msgspec.Raw] = {}
    for name, raw in given.items():
        field = field_of(name)
        (rest if not field or field in named else named)[field if field and field not in named else name] = raw
    row = Row(named)
    asked, said = ASKED & named.keys(), {"answer", "response", "input_tokens", "output_tokens"} & named.keys()
    if not asked and not said:
        raise fields.Unreadable("no_call", "No column of the row tells of a call.")
    model = row.text("model", limit=MODEL_LIMIT)
    parameters = {name: _typed(raw) for name, raw in rest.items() if name in assembly.PARAMETERS}
    metadata = {name: raw for name, raw in rest.items() if name not in assembly.PARAMETERS}
    request = _request(row, model, parameters)
    return (calls.build(_told(row, model, metadata), request, _response(row)),)


def _request(row: Row, model: str, parameters: dict[str, Any]) -> msgspec.Raw:
    system = row.plain("system")
    given = row.raw("request", "messages", "prompt")
    if system is not None and "request" not in row.given and "messages" not in row.given:
        asked = row.plain("prompt")
        turns = [{"role": "system", "content": system}, {"role": "user", "content": asked}]
        given = assembly.encoded(turns[: 2 if asked is not None else 1])
    return assembly.request(given, model=model, parameters=parameters)


def _response(row: Row) -> msgspec.Raw:
    body = assembly.response(row.raw("response", "answer"))
    error = row.plain("error")
    return assembly.error(error) if isinstance(error, str) and not bytes(body) else body


def _told(row: Row, model: str, rest: dict[str, msgspec.Raw]) -> Told:
    code, succeeded = _status(row)
    latency_us = row.duration_us("latency_ms", unit_us=1000)
    cost = row.cost_nanousd("usd")
    given, said = row.tokens("input_tokens"), row.tokens("output_tokens")
    others = {name: rows.joined(fields.plain(raw)) for name, raw in rest.items()}
    return Told(
        source_id=row.text("id", limit=calls.ID_LIMIT),
        trace_key=row.text("trace", limit=calls.ID_LIMIT),
        occurred_at=row.moment("time"),
        provider=row.text("provider", limit=calls.PROVIDER_LIMIT),
        model=model,
        succeeded=succeeded,
        status_code=code,
        usage=Usage(
            given,
            said,
            bodies.at_most(row.tokens("cached"), given),
            bodies.at_most(row.tokens("cache_write"), given),
            bodies.at_most(row.tokens("reasoning"), said),
        ),
        cost_nanousd=fields.cost_nanousd(row.plain("cents"), "cents", cents=True) if cost is None else cost,
        latency_us=row.duration_us("latency_s", unit_us=1_000_000) if latency_us is None else latency_us,
        first_token_us=row.duration_us("first_ms", unit_us=1000),
        prompt_version=row.text("prompt_version", limit=calls.VERSION_LIMIT),
        metadata=fields.metadata({**others, **row.object("metadata")}),
    )


def _status(row: Row) -> tuple[int | None, bool | None]:
    """HTTP status and success; a status may be a number or a word."""
    code = fields.status_code(row.plain("status_code"), "status_code")
    word = str(row.plain("status") if row.plain("status") is not None else "").strip().lower()
    if code is None and word.isdecimal() and len(word) == 3:
        return fields.status_code(word, "status"), None
    failed = row.plain("error") is not None and word not in _GOOD
    return code, True if word in _GOOD else False if word in _BAD or failed else None


def _typed(raw: msgspec.Raw) -> Any:
    """A parameter, which CSV writes as text."""
    found = fields.plain(raw)
    if not isinstance(found, str):
        return found
    inner = fields.plain(msgspec.Raw(found.encode(errors="replace")))
    return found if inner is None else inner
