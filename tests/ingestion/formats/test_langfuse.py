"""Langfuse's generations in the shapes of its API, its blob export and its traces; what is no call holds none."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ingestion.formats import langfuse
from ingestion.formats.fields import Unreadable
from ingestion.values import RawRecord

MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Where is my order?"}]
API: dict[str, Any] = {
    "id": "obs-1",
    "traceId": "trace-1",
    "type": "GENERATION",
    "name": "answer",
    "startTime": "2026-01-17T06:20:43.000Z",
    "endTime": "2026-01-17T06:20:44.500Z",
    "completionStartTime": "2026-01-17T06:20:43.250Z",
    "input": MESSAGES,
    "output": {"role": "assistant", "content": "On its way."},
    "model": "gpt-4o-mini",
    "modelParameters": {"temperature": 0.2, "api_key": "planted-secret"},
    "usageDetails": {"input": 2140, "input_cached_tokens": 1024, "output": 96, "output_reasoning_tokens": 310,
                     "total": 3570},
    "costDetails": {"input": 0.0005, "output": 0.0006, "total": 0.0011},
    "totalCost": 0.0011,
    "latency": 1.5,
    "level": "DEFAULT",
    "promptName": "support",
    "promptVersion": 3,
    "userId": "user-7",
    "sessionId": "session-1",
    "metadata": {"team": "support", "deep": {"x": 1}},
    "environment": "production",
    "tags": ["a", "b"],
}  # fmt: skip
BLOB: dict[str, Any] = {
    "id": "obs-1",
    "trace_id": "trace-1",
    "project_id": "p",
    "environment": "production",
    "type": "GENERATION",
    "parent_observation_id": "",
    "start_time": "2026-01-17 06:20:43.000000",
    "end_time": "2026-01-17 06:20:44.500000",
    "name": "answer",
    "metadata": {"team": "support"},
    "level": "DEFAULT",
    "status_message": "",
    "input": json.dumps(MESSAGES),
    "output": json.dumps({"role": "assistant", "content": "On its way."}),
    "provided_model_name": "gpt-4o-mini",
    "model_parameters": '{"temperature":0.2}',
    "usage_details": {"input": 1116, "input_cached_tokens": 1024, "output": 96, "total": 2236},
    "cost_details": {"total": 0.0011},
    "completion_start_time": "2026-01-17 06:20:43.250000",
    "prompt_name": "support",
    "prompt_version": 3,
    "total_cost": 0.0011,
    "latency": 1500,
    "tool_definitions": {"find": '{"description": "Find an order", "parameters": {}}'},
    "user_id": "user-7",
    "tags": ["a", "b"],
}


def read(row: dict[str, Any]) -> RawRecord:
    (record,) = langfuse.read(json.dumps(row).encode())
    return record


@pytest.mark.parametrize("row", [API, BLOB], ids=["API", "blob export"])
def test_a_generation_is_a_call(row: dict[str, Any]) -> None:
    record = read(row)

    assert (record.source_id, record.trace_key, record.model, record.status) == (
        "obs-1",
        "trace-1",
        "gpt-4o-mini",
        "ok",
    )
    assert record.occurred_at == datetime(2026, 1, 17, 6, 20, 43, tzinfo=UTC)
    assert (record.latency_us, record.first_token_us) == (1_500_000, 250_000)  # whatever unit `latency` has
    assert (record.source_cost_nanousd, record.prompt_version) == (1_100_000, "support@3")
    assert (record.preview, record.obstacle, record.refused) == ("Where is my order?", "", False)
    assert (record.messages, record.tool_calls) == (3, 0)
    assert record.metadata["user_id"] == "user-7"
    assert record.metadata["team"] == "support"
    assert record.metadata["tags"] == "a,b"


def test_the_request_is_put_together_from_its_parts_without_keys() -> None:
    assert json.loads(read(API).request) == {"model": "gpt-4o-mini", "temperature": 0.2, "messages": MESSAGES}
    assert json.loads(read(BLOB).request)["tools"][0]["function"]["name"] == "find"
    assert "planted-secret" not in repr(read(API))


def test_parts_of_the_usage_are_added_unless_the_total_says_otherwise() -> None:
    record, whole = (
        read(API),
        read({**API, "usageDetails": {"input": 90, "input_cached_tokens": 50, "output": 4, "total": 94}}),
    )

    # by hand: 2140 + 1024 and 96 + 310 make 3570; in the other row 90 + 4 make 94 already
    assert (record.input_tokens, record.output_tokens) == (3164, 406)
    assert (record.cached_tokens, record.reasoning_tokens) == (1024, 310)
    assert (whole.input_tokens, whole.output_tokens, whole.cached_tokens) == (90, 4, 50)


def test_older_rows_tell_tokens_beside_and_0_for_unknown() -> None:
    older = {key: value for key, value in API.items() if key not in ("usageDetails", "costDetails")}

    record = read({**older, "promptTokens": 12, "completionTokens": 3, "totalCost": 0})
    unknown = read({**older, "promptTokens": 0, "completionTokens": 0, "usage": {"input": None, "unit": "TOKENS"}})

    assert (record.input_tokens, record.output_tokens, record.source_cost_nanousd) == (12, 3, None)
    assert (unknown.input_tokens, unknown.output_tokens) == (None, None)


def test_a_failed_generation_tells_its_error() -> None:
    record = read({**API, "output": None, "level": "ERROR", "statusMessage": "overloaded"})

    assert (record.status, json.loads(record.response)) == ("failed", {"error": {"message": "overloaded"}})


OUTPUTS: dict[str, Any] = {
    "a text": "On its way.",
    "a message as text": json.dumps({"role": "assistant", "content": "On its way."}),
    "a list of messages": [*MESSAGES, {"role": "assistant", "content": "On its way."}],
    "a completion": {"choices": [{"message": {"role": "assistant", "content": "On its way."}}]},
    "Anthropic": {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "On its way."}]},
    "parsed JSON": {"answer": "On its way."},
}


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS.keys())
def test_answers_are_read_in_every_form(output: Any) -> None:
    record = read({**API, "output": output})

    assert (record.refused, record.obstacle, record.messages) == (False, "", 3)


def test_inputs_are_read_in_every_form() -> None:
    tools = [{"type": "function", "function": {"name": "find"}}]

    assert read({**API, "input": {"messages": MESSAGES, "tools": tools}}).uses_tools
    assert json.loads(read({**API, "input": "Where?"}).request)["messages"] == [{"role": "user", "content": "Where?"}]
    assert read({**API, "input": None}).obstacle == "no_body"
    assert read({**API, "input": {"query": "x"}}).obstacle == "not_chat"


def test_a_trace_gives_its_generations() -> None:
    span = {**API, "id": "obs-0", "type": "SPAN"}
    trace = {"id": "trace-1", "timestamp": "2026-01-17T06:20:43Z", "name": "chat", "userId": "user-9", "htmlPath": "/t",
             "observations": [span, {key: value for key, value in API.items() if key != "userId"}]}  # fmt: skip

    record = read(trace)

    assert (record.source_id, record.metadata["trace_name"], record.metadata["user_id"]) == ("obs-1", "chat", "user-9")


OTHERS: dict[str, dict[str, Any]] = {
    "a span": {**API, "type": "SPAN"},
    "an event": {**BLOB, "type": "EVENT"},
    "a trace": {"id": "t", "timestamp": "2026-01-17 06:20:43.000000", "name": "chat", "bookmarked": False},
    "a trace with ids": {"id": "t", "timestamp": "2026-01-17T06:20:43Z", "observations": ["obs-1"], "htmlPath": "/t"},
    "a score": {"id": "s", "timestamp": "2026-01-17 06:20:43.000000", "data_type": "NUMERIC", "value": 1},
}


@pytest.mark.parametrize("row", OTHERS.values(), ids=OTHERS.keys())
def test_what_is_no_call_holds_none(row: dict[str, Any]) -> None:
    assert langfuse.read(json.dumps(row).encode()) == ()


def test_what_is_not_of_langfuse_is_refused() -> None:
    with pytest.raises(Unreadable) as caught:
        langfuse.read(b'{"city": "Rome"}')

    assert caught.value.code == "no_call"
