"""OTLP traces: which spans are model calls, and what each convention tells of them."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.formats import otlp
from ingestion.formats.fields import Unreadable
from ingestion.values import RawRecord
from tests.ingestion.formats import spans
from tests.ingestion.formats.spans import SPAN, STARTED, TRACE, span

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_order", "description": "Look", "parameters": {"type": "object"}},
}
CALL = {"id": "c1", "type": "function", "function": {"name": "get_order", "arguments": '{"number":"K-1"}'}}
ASKED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where is K-1?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "shipped", "tool_call_id": "c1"},
]
SAID = {"role": "assistant", "content": "On its way."}
BASE = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini", "gen_ai.provider.name": "openai"}

CURRENT = {
    **BASE,
    "gen_ai.request.temperature": 0.2,
    "gen_ai.request.max_tokens": 64,
    "gen_ai.request.stop_sequences": ["END"],
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 57,
    "gen_ai.usage.output_tokens": 9,
    "gen_ai.usage.cache_read.input_tokens": 32,
    "gen_ai.usage.reasoning.output_tokens": 4,
    "gen_ai.tool.definitions": json.dumps([{"type": "function", **TOOL["function"]}]),
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
    "gen_ai.input.messages": json.dumps([
        {"role": "user", "parts": [{"type": "text", "content": "Where is K-1?"}]},
        {"role": "assistant", "parts": [
            {"type": "reasoning", "content": "hm"},
            {"type": "tool_call", "id": "c1", "name": "get_order", "arguments": {"number": "K-1"}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "shipped"}]},
    ]),
    "gen_ai.output.messages": json.dumps([
        {"role": "assistant", "parts": [{"type": "text", "content": "On its way."}], "finish_reason": "stop"}]),
}  # fmt: skip
NUMBERED = {
    "llm.request.type": "chat",
    "gen_ai.system": "OpenAI",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.request.max_tokens": 64,
    "llm.chat.stop_sequences": ["END"],
    "gen_ai.prompt.0.role": "system",
    "gen_ai.prompt.0.content": "Be brief.",
    "gen_ai.prompt.1.role": "user",
    "gen_ai.prompt.1.content": "Where is K-1?",
    "gen_ai.prompt.2.role": "assistant",
    "gen_ai.prompt.2.tool_calls.0.id": "c1",
    "gen_ai.prompt.2.tool_calls.0.name": "get_order",
    "gen_ai.prompt.2.tool_calls.0.arguments": '{"number":"K-1"}',
    "gen_ai.prompt.3.role": "tool",
    "gen_ai.prompt.3.content": "shipped",
    "gen_ai.prompt.3.tool_call_id": "c1",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "On its way.",
    "gen_ai.completion.0.finish_reason": "stop",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.usage.prompt_tokens": 57,
    "gen_ai.usage.completion_tokens": 9,
    "gen_ai.usage.cache_read_input_tokens": 32,
    "gen_ai.usage.reasoning_tokens": 4,
    "llm.usage.total_tokens": 66,
    "llm.request.functions.0.name": "get_order",
    "llm.request.functions.0.description": "Look",
    "llm.request.functions.0.parameters": '{"type": "object"}',
}
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.provider": "openai",
    "llm.model_name": "gpt-4o-mini",
    "llm.invocation_parameters": json.dumps({"temperature": 0.2, "max_tokens": 64, "stop": ["END"]}),
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "Be brief.",
    "llm.input_messages.1.message.role": "user",
    "llm.input_messages.1.message.contents.0.message_content.type": "text",
    "llm.input_messages.1.message.contents.0.message_content.text": "Where is K-1?",
    "llm.input_messages.2.message.role": "assistant",
    "llm.input_messages.2.message.tool_calls.0.tool_call.id": "c1",
    "llm.input_messages.2.message.tool_calls.0.tool_call.function.name": "get_order",
    "llm.input_messages.2.message.tool_calls.0.tool_call.function.arguments": '{"number":"K-1"}',
    "llm.input_messages.3.message.role": "tool",
    "llm.input_messages.3.message.tool_call_id": "c1",
    "llm.input_messages.3.message.content": "shipped",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "On its way.",
    "llm.finish_reason": "stop",
    "llm.tools.0.tool.json_schema": json.dumps(TOOL),
    "llm.token_count.prompt": 57,
    "llm.token_count.completion": 9,
    "llm.token_count.prompt_details.cache_read": 32,
    "llm.token_count.completion_details.reasoning": 4,
}
EVENTS = (
    ("gen_ai.system.message", {"content": "Be brief."}),
    ("gen_ai.user.message", {"gen_ai.event.content": '{"content": "Where is K-1?"}'}),
    ("gen_ai.assistant.message", {"tool_calls": json.dumps([CALL])}),
    ("gen_ai.tool.message", {"content": "shipped", "id": "c1"}),
    ("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": json.dumps(SAID)}),
)


def read(*of: Any, **more: Any) -> list[RawRecord]:
    return otlp.read(spans.line(*of, **more))


def one(attributes: dict[str, Any], *events: tuple[str, dict[str, Any]], **changes: Any) -> RawRecord:
    (record,) = read(span(attributes, *events, **changes))
    return record


def code_of(row: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        otlp.read(row)
    assert caught.value.reason
    return caught.value.code


@pytest.mark.parametrize("told", [CURRENT, NUMBERED, OPENINFERENCE], ids=["GenAI", "OpenLLMetry", "OpenInference"])
def test_each_convention_tells_the_same_call(told: dict[str, Any]) -> None:
    record = one(told)

    assert json.loads(record.request) == {
        "model": "gpt-4o-mini", "messages": ASKED, "temperature": 0.2, "max_tokens": 64, "stop": ["END"],
        "tools": [TOOL],
    }  # fmt: skip
    (choice,) = json.loads(record.response)["choices"]
    assert choice["message"] == SAID
    assert (record.provider, record.model, record.status, record.obstacle) == ("openai", "gpt-4o-mini", "ok", "")
    assert (record.input_tokens, record.output_tokens, record.cached_tokens, record.reasoning_tokens) == (57, 9, 32, 4)
    assert (record.uses_tools, record.refused, record.latency_us) == (True, False, 812_000)
    assert record.preview == "Where is K-1?"


def test_messages_in_events_tell_the_same() -> None:
    record = one({**BASE, "gen_ai.tool.definitions": json.dumps([TOOL])}, *EVENTS)

    assert json.loads(record.request)["messages"] == ASKED
    assert json.loads(record.response)["choices"][0]["message"] == SAID
    assert (record.finish_reason, record.obstacle) == ("stop", "")


def test_messages_in_the_event_of_details_tell_the_same() -> None:
    content = {name: CURRENT[name] for name in CURRENT if "messages" in name or "instructions" in name}
    rest = {name: told for name, told in CURRENT.items() if name not in content}

    record = one(rest, ("gen_ai.client.inference.operation.details", content))

    assert record.request == one(CURRENT).request


def test_the_first_spelling_of_events_is_read() -> None:
    record = one(
        BASE,
        ("gen_ai.content.prompt", {"gen_ai.prompt": json.dumps(ASKED[:2])}),
        ("gen_ai.content.completion", {"gen_ai.completion": json.dumps([SAID])}),
    )

    assert json.loads(record.request)["messages"] == ASKED[:2]
    assert json.loads(record.response)["choices"][0]["message"] == SAID


def test_bodies_as_they_were_sent_are_kept_as_they_are() -> None:
    asked = {"model": "gpt-4o-mini", "messages": ASKED, "tools": [TOOL], "logit_bias": {"5": 1}}
    got = {
        "id": "x",
        "choices": [{"message": SAID, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 8, "completion_tokens": 2},
    }
    told = {**OPENINFERENCE, "input.value": json.dumps(asked), "output.value": json.dumps(got)}

    record = one(told)

    assert (json.loads(record.request), json.loads(record.response)) == (asked, got)
    assert (record.finish_reason, record.input_tokens) == ("stop", 8)


def test_plain_texts_in_and_out_are_a_question_and_its_answer() -> None:
    record = one(
        {"openinference.span.kind": "LLM", "llm.model_name": "m", "input.value": "Hi", "output.value": "Hello."}
    )

    assert json.loads(record.request)["messages"] == [{"role": "user", "content": "Hi"}]
    assert json.loads(record.response)["choices"][0]["message"]["content"] == "Hello."


def test_a_record_is_known_by_its_span_and_belongs_to_its_conversation() -> None:
    alone, talk = one(BASE), one({**BASE, "gen_ai.conversation.id": "talk-7"})
    session = one({**BASE, "session.id": "s-1"}, traceId=TRACE.upper())

    assert (alone.source_id, alone.trace_key) == (f"{TRACE}-{SPAN}", TRACE)
    assert (talk.source_id, talk.trace_key) == (f"{TRACE}-{SPAN}", "talk-7")
    assert (session.source_id, session.trace_key) == (f"{TRACE}-{SPAN}", "s-1")
    assert one({**BASE, "session.id": "s" * 201}).trace_key == TRACE
    assert alone.occurred_at == datetime(2026, 1, 17, 6, 20, 43, tzinfo=UTC)


NO_CALLS: list[dict[str, Any]] = [
    {},
    {"http.request.method": "GET"},
    {**BASE, "gen_ai.operation.name": "embeddings"},
    {**BASE, "gen_ai.operation.name": "execute_tool"},
    {**BASE, "gen_ai.operation.name": "invoke_agent"},
    {**OPENINFERENCE, "openinference.span.kind": "CHAIN"},
    {"traceloop.span.kind": "workflow", "gen_ai.request.model": "m"},
    {"llm.request.type": "embedding", "gen_ai.request.model": "m"},
]


def test_only_model_calls_become_records() -> None:
    others = [span(told, spanId=f"{n:016x}") for n, told in enumerate(NO_CALLS, start=1)]

    found = read(*others, span(BASE), span(NUMBERED, spanId="00000000000000ff"))
    cut = otlp.split(spans.line(*others, span(BASE)))

    assert [record.source_id for record in found] == [f"{TRACE}-{SPAN}", f"{TRACE}-00000000000000ff"]
    assert (len(cut.rows), cut.ignored) == (1, len(NO_CALLS))
    assert otlp.read(cut.rows[0]) == read(span(BASE))


def test_a_call_without_content_counts_and_cannot_be_replayed() -> None:
    record = one({**BASE, "gen_ai.usage.input_tokens": 5, "gen_ai.response.finish_reasons": ["tool_call"]})

    assert (record.request, record.response, record.obstacle) == ("", "", "no_body")
    assert (record.input_tokens, record.finish_reason) == (5, "tool_calls")


FAILURES: list[tuple[dict[str, Any], dict[str, Any], int | None]] = [
    ({"error.type": "429"}, {}, 429),
    ({"error.type": "openai.RateLimitError"}, {"status": {"code": 2}}, 429),
    ({"error.type": "<class 'openai.NotFoundError'>"}, {"status": {"code": 2}}, 404),
    ({"error.type": "timeout"}, {"status": {"code": "STATUS_CODE_ERROR"}}, 408),
    ({"http.response.status_code": 503}, {"status": {"code": 2}}, 503),
    ({}, {"status": {"code": 2, "message": "odd"}}, None),
]


@pytest.mark.parametrize(("told", "changes", "code"), FAILURES)
def test_a_failed_call_says_how_as_far_as_told(told: dict[str, Any], changes: dict[str, Any], code: int | None) -> None:
    record = one({**BASE, "gen_ai.input.messages": CURRENT["gen_ai.input.messages"], **told}, **changes)

    assert (record.status, record.status_code) == ("failed", code)


def test_an_exception_within_the_span_tells_the_status_too() -> None:
    record = one(BASE, ("exception", {"exception.type": "openai.APITimeoutError"}), status={"code": 2})

    assert (record.status, record.status_code) == ("failed", 408)


CUT = '[{"role":"user","parts":[{"type":"te'
PICTURE = [{"role": "user", "parts": [{"type": "uri", "modality": "image", "uri": "https://x/y.png"}]}]
SOUND = [{"role": "user", "parts": [{"type": "blob", "modality": "audio", "content": "AA=="}]}]
OBSTACLES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "messages cut by a limit": ({**BASE, "gen_ai.input.messages": CUT}, {}, "truncated"),
    "an answer cut by a limit": ({**CURRENT, "gen_ai.output.messages": '[{"role":"assi'}, {}, "truncated"),
    "attributes left out": (NUMBERED, {"droppedAttributesCount": 3}, "truncated"),
    "tools called that are not told": ({k: v for k, v in CURRENT.items() if "tool.def" not in k}, {}, "truncated"),
    "a prompt that is no chat": ({**CURRENT, "gen_ai.operation.name": "text_completion"}, {}, "not_chat"),
    "a picture": ({**BASE, "gen_ai.input.messages": json.dumps(PICTURE)}, {}, "images"),
    "a sound": ({**CURRENT, "gen_ai.input.messages": json.dumps(SOUND)}, {}, "not_chat"),
    "what a framework was given": (
        {"openinference.span.kind": "LLM", "llm.model_name": "m", "input.value": '{"kwargs": {}}'}, {}, "not_chat"),
    "no answer": ({k: v for k, v in CURRENT.items() if "output.messages" not in k}, {}, "no_answer"),
}  # fmt: skip


@pytest.mark.parametrize("case", OBSTACLES.values(), ids=OBSTACLES.keys())
def test_what_cannot_be_rebuilt_is_said(case: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    told, changes, obstacle = case

    record = one(told, **changes)

    assert record.obstacle == obstacle
    assert record.request


def test_what_is_told_beside_the_call_becomes_metadata() -> None:
    told = {
        **CURRENT, "user.id": "u-7", "traceloop.association.properties.tier": "gold", "gen_ai.agent.name": "desk",
        "metadata": '{"team": "support"}', "tag.tags": ["a", "b"], "my.prompt": "secret words", "long": "x" * 300,
    }  # fmt: skip

    (record,) = read(span(told), resource={"service.name": "shop", "process.pid": 7, "telemetry.sdk.name": "x"})

    assert record.metadata == {
        "team": "support", "gen_ai.agent.name": "desk", "user.id": "u-7", "tier": "gold", "tag.tags": "a, b",
        "service.name": "shop",
    }  # fmt: skip


def test_other_measures_are_taken_where_told() -> None:
    told = {
        **BASE, "gen_ai.response.time_to_first_chunk": 0.25, "llm.cost.total": 0.125, "gen_ai.prompt.name": "greet",
        "gen_ai.prompt.version": "3", "gen_ai.provider.name": "aws.bedrock", "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.cache_read_input_tokens": 100, "gen_ai.usage.cache_creation_input_tokens": 20,
    }  # fmt: skip

    record = one(told)

    assert (record.first_token_us, record.streamed, record.source_cost_nanousd) == (250_000, True, 125_000_000)
    assert (record.prompt_version, record.provider) == ("greet@3", "bedrock")
    assert (record.input_tokens, record.cached_tokens, record.cache_write_tokens) == (130, 100, 20)


def test_times_that_tell_nothing_are_unknown() -> None:
    backwards = one(BASE, endTimeUnixNano=str(STARTED - 1))

    assert backwards.latency_us is None
    assert one(BASE, startTimeUnixNano="0").occurred_at is None


WRONG: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "bad_json"),
    "a list": (b"[]", "not_an_object"),
    "another object": (b'{"logs": []}', "no_spans"),
    "an id in base64": (spans.line(span(BASE, traceId="W47/95gDgQPSabYzgT/GDA==")), "bad_id"),
    "an id of zeros": (spans.line(span(BASE, spanId="0" * 16)), "bad_id"),
    "no id": (spans.line(span(BASE, spanId=None)), "bad_id"),
    "an attribute that is none": (spans.line({**span({}), "attributes": [7]}), "wrong_type"),
    "no model": (spans.line(span({"gen_ai.operation.name": "chat"})), "no_model"),
    "negative tokens": (spans.line(span({**BASE, "gen_ai.usage.input_tokens": -1})), "negative"),
    "1970": (spans.line(span(BASE, startTimeUnixNano="1000000000")), "absurd_time"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_read_is_refused_by_name(case: tuple[bytes, str]) -> None:
    row, code = case

    assert code_of(row) == code


def test_a_request_without_spans_holds_no_call() -> None:
    assert otlp.read(b'{"resourceSpans": []}') == []
    assert otlp.read(b"{}") == []


# ------------------------------------------------------------------------------------------------ any input
TEXTS = st.text(max_size=12) | st.sampled_from(
    ["[", "[{", '[{"type"', "{}", "[1]", "LLM", "chat", "NaN", "9" * 40, "\x00"]
)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
PART_NAMES = """type content text role parts tool_calls id name arguments response uri modality message function"""
PARTS = st.dictionaries(
    st.sampled_from(PART_NAMES.split()),
    JSONS | st.sampled_from(["text", "tool_call", "tool_call_response", "blob", "tool", "user"]),
)
NAMES = st.sampled_from(
    [*CURRENT, *NUMBERED, *OPENINFERENCE, "input.value", "output.value", "metadata", "session.id", "error.type",
     "gen_ai.prompt", "gen_ai.completion", "gen_ai.prompt.0", "gen_ai.prompt.0.content.0.x", "gen_ai.prompt.²",
     "llm.input_messages.0", "llm.tools.0", "gen_ai.usage.cost", "gen_ai.response.time_to_first_chunk"]
) | st.text(max_size=8)  # fmt: skip
CONTENT = JSONS | st.lists(PARTS, max_size=3) | st.lists(PARTS, max_size=3).map(json.dumps)
ATTRIBUTES = st.dictionaries(NAMES, CONTENT, max_size=6)
EVENT_NAMES = st.sampled_from([name for name, _ in EVENTS]) | st.text(max_size=4)


def read_or_code(row: bytes) -> str:
    try:
        records = otlp.read(row)
    except Unreadable as error:
        return error.code
    for record in records:
        for body in (record.request, record.response):
            assert not body or json.loads(body) is not None
    return "read"


@given(ATTRIBUTES, st.lists(st.tuples(EVENT_NAMES, ATTRIBUTES), max_size=2), st.sampled_from([CURRENT, NUMBERED, BASE]))
def test_any_attributes_are_read_or_refused_but_never_break(
    told: dict[str, Any], events: list[tuple[str, dict[str, Any]]], known: dict[str, Any]
) -> None:
    whole = spans.line(span({**known, **told}, *events))

    assert read_or_code(whole)
    with contextlib.suppress(Unreadable):
        for row in otlp.split(whole).rows:  # a row made of a request holds one call
            assert len(otlp.read(row)) == 1


@given(st.dictionaries(st.sampled_from([*span({}), "droppedAttributesCount"]), JSONS))
def test_any_span_is_read_or_refused_but_never_breaks(changes: dict[str, Any]) -> None:
    assert read_or_code(json.dumps(spans.request({**span(CURRENT), **changes})).encode())


@given(st.binary(max_size=200) | JSONS.map(lambda found: json.dumps(found).encode()))
def test_any_bytes_are_read_or_refused_but_never_break(row: bytes) -> None:
    assert read_or_code(row)


def test_values_nested_too_deeply_are_refused() -> None:
    inner: Any = "x"
    for _ in range(5000):
        inner = f'{{"arrayValue":{{"values":[{inner}]}}}}' if inner != "x" else '{"stringValue":"x"}'
    row = spans.line(span({**BASE, "deep": "MARK"})).replace(b'{"stringValue": "MARK"}', inner.encode())

    assert code_of(row) == "too_deep"
