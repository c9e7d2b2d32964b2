"""Langfuse: observations of its API (camelCase) and of its blob export (snake_case), traces that hold them.

Only generations are calls. Other observations, traces without observations and scores are recognized and hold none.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from ingestion.formats import assembly, bodies, calls, fields, rows
from ingestion.formats.bodies import MODEL_LIMIT
from ingestion.formats.calls import Told
from ingestion.formats.rows import Row
from ingestion.values import RawRecord, Usage

OTHERS = frozenset("SPAN EVENT AGENT TOOL CHAIN RETRIEVER EVALUATOR EMBEDDING GUARDRAIL".split())  # noqa: SIM905
_METADATA = ("name", "environment", "release", "version", "tags")
_FOR_PEOPLE = {"user_id": ("user_id", "userId"), "session_id": ("session_id", "sessionId"),
               "trace_name": ("trace_name", "traceName")}  # fmt: skip


def read(line: bytes) -> tuple[RawRecord, ...]:
    """Read one observation, or one trace with its observations.

    Raises:
        Unreadable: with a code of `formats.fields`, or no_call, no_model.
    """
    row = rows.read(line)
    held = row.json("observations")
    if isinstance(held, list) and held and isinstance(held[0], Mapping):
        return _of_trace(row)
    return _observation(row, {})


def _of_trace(trace: Row) -> tuple[RawRecord, ...]:
    context = {**trace.metadata("environment", "release", "version", "tags"), **_people(trace)}
    context |= {"trace_name": trace.plain("name")} if trace.plain("name") else {}
    held = bytes(assembly.inner(trace.raw("observations")))
    try:
        entries = msgspec.json.decode(held, type=list[dict[str, msgspec.Raw]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise fields.Unreadable("wrong_type", "observations: expected objects.") from None
    return tuple(record for entry in entries for record in _observation(Row(entry), context))


def _observation(row: Row, context: Mapping[str, Any]) -> tuple[RawRecord, ...]:
    kind = row.text("type", limit=40).upper()
    starts = row.plain("startTime", "start_time")
    if kind in OTHERS or (not kind and starts is None and _is_trace_or_score(row)):
        return ()
    if kind not in ("", "GENERATION") or (not kind and starts is None):
        raise fields.Unreadable("no_call", "Expected an observation, a trace or a score of Langfuse.")
    model = row.text("model", "provided_model_name", "providedModelName", limit=MODEL_LIMIT)
    failure = row.text("statusMessage", "status_message", limit=100_000)
    parameters = {**row.object("modelParameters", "model_parameters"), **_tools(row)}
    request = assembly.request(row.raw("input"), model=model, parameters=parameters)
    response = assembly.response(row.raw("output"))
    failed = row.text("level", limit=40).upper() == "ERROR"
    if failed and failure and not bytes(response):
        response = assembly.error(failure)
    return (calls.build(_told(row, context, model=model, failed=failed), request, response),)


def _is_trace_or_score(row: Row) -> bool:
    return bool(row.plain("timestamp") or row.plain("dataType", "data_type") or row.plain("htmlPath"))


def _told(row: Row, context: Mapping[str, Any], *, model: str, failed: bool) -> Told:
    start, end = row.moment("startTime", "start_time"), row.moment("endTime", "end_time")
    first = row.moment("completionStartTime", "completion_start_time")
    # measured by ourselves where possible: old exports give `latency` in milliseconds, newer ones in seconds
    latency_us, first_token_us = rows.elapsed_us(start, end), rows.elapsed_us(start, first)
    if latency_us is None:
        latency_us = row.duration_us("latency", unit_us=1_000_000)
    if first_token_us is None:
        first_token_us = row.duration_us("timeToFirstToken", "time_to_first_token", unit_us=1_000_000)
    inner = row.object("metadata")
    name = row.text("promptName", "prompt_name", limit=calls.VERSION_LIMIT)
    version = row.text("promptVersion", "prompt_version", limit=calls.VERSION_LIMIT)
    return Told(
        source_id=row.text("id", limit=calls.ID_LIMIT),
        trace_key=row.text("traceId", "trace_id", limit=calls.ID_LIMIT),
        occurred_at=start,
        provider=_provider(inner),
        model=model,
        succeeded=not failed,
        usage=_usage(row),
        cost_nanousd=_cost_nanousd(row),
        latency_us=latency_us,
        first_token_us=first_token_us,
        prompt_version="@".join(part for part in (name, version) if part)[: calls.VERSION_LIMIT],
        metadata=fields.metadata({**context, **inner, **row.metadata(*_METADATA), **_people(row)}),
    )


def _people(row: Row) -> dict[str, Any]:
    return {name: found for name, spelled in _FOR_PEOPLE.items() if (found := row.plain(*spelled)) is not None}


def _provider(metadata: Mapping[str, Any]) -> str:
    """What LangChain's integration writes beside its own metadata."""
    found = metadata.get("ls_provider")
    return found[: calls.PROVIDER_LIMIT] if isinstance(found, str) else ""


def _usage(row: Row) -> Usage:
    """Parts stand beside each other: `input` leaves out what has a key of its own, unless the total says otherwise."""
    given = {**row.object("usage"), **row.object("usageDetails", "usage_details")}
    if row.text("unit", limit=40).upper() not in ("", "TOKENS") or str(given.get("unit") or "TOKENS") != "TOKENS":
        return Usage(None, None)
    counts = {
        name: count
        for name, value in given.items()
        if isinstance(value, int | float | str) and name != "unit" and "ost" not in name
        if (count := fields.tokens(value, f"usage.{name}"[:60])) is not None
    }
    input_tokens = _sum(counts, "input", part="cache")
    output_tokens = _sum(counts, "output", part="reasoning")
    if input_tokens is None and output_tokens is None:
        # 0 stands here for unknown: older rows always have both
        input_tokens = row.tokens("promptTokens", "prompt_tokens", "inputUsage", "input_usage") or None
        output_tokens = row.tokens("completionTokens", "completion_tokens", "outputUsage", "output_usage") or None
    read = _find(counts, ("cached", "cache_read"))
    written = _find(counts, ("cache_creation", "cache_write"))
    thought = _find(counts, ("reasoning",))
    return Usage(
        input_tokens,
        output_tokens,
        bodies.at_most(read, input_tokens),
        bodies.at_most(written, input_tokens),
        bodies.at_most(thought, output_tokens),
    )


def _sum(counts: Mapping[str, int], side: str, *, part: str) -> int | None:
    parts = {name: count for name, count in counts.items() if side in name.lower() or part in name.lower()}
    if not parts:
        return None
    both = counts.get("input", 0) + counts.get("output", 0)
    if side in parts and "total" in counts and both == counts["total"]:
        return parts[side]
    return min(sum(parts.values()), fields.MAX_TOKENS)


def _find(counts: Mapping[str, int], words: tuple[str, ...]) -> int | None:
    found = [count for name, count in counts.items() if any(word in name.lower() for word in words)]
    return min(sum(found), fields.MAX_TOKENS) if found else None


def _cost_nanousd(row: Row) -> int | None:
    """0 without details is what Langfuse writes where it knows no price."""
    details = row.object("costDetails", "cost_details")
    total = row.cost_nanousd("totalCost", "total_cost", "calculatedTotalCost", "calculated_total_cost")
    if total is None:
        total = fields.cost_nanousd(details.get("total"), "cost_details.total", cents=False)
    return total if details else total or None


def _tools(row: Row) -> dict[str, Any]:
    """Tools stand as a list, or by name with their schema as text."""
    found = row.json("tool_definitions", "toolDefinitions", "tools")
    if isinstance(found, list) and found:
        return {"tools": found}
    if not isinstance(found, Mapping) or not found:
        return {}
    tools = []
    for name, written in found.items():
        schema = fields.plain(msgspec.Raw(written.encode(errors="replace"))) if isinstance(written, str) else written
        if isinstance(schema, Mapping):
            whole = "function" in schema
            tools.append(schema if whole else {"type": "function", "function": {**schema, "name": name}})
    return {"tools": tools} if tools else {}
