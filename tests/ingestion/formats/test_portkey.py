"""Portkey's rows as they really come, and every way in which they can be wrong."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.formats import bodies, fields, portkey
from ingestion.formats.fields import Unreadable
from ingestion.values import RawRecord
from tests.ingestion.conftest import portkey_row


def read(**changes: Any) -> RawRecord:
    return portkey.read(json.dumps(portkey_row(1, **changes)).encode())[0]


def code_of(line: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        portkey.read(line)
    assert caught.value.reason
    return caught.value.code


@pytest.mark.parametrize(
    "written",
    [
        "Sat Jan 17 2026 06:20:43 GMT+0000 (Coordinated Universal Time)",
        "Sat Jan 17 2026 07:20:43 GMT+0100 (Central European Standard Time)",
        "2026-01-17T06:20:43Z",
        "2026-01-17T06:20:43",
        "2026-01-17 08:20:43+02:00",
        1768630843,
        1768630843000,
        1768630843000000,
        "1768630843",
    ],
)
def test_times_are_read_in_every_form(written: Any) -> None:
    assert read(created_at=written).occurred_at == datetime(2026, 1, 17, 6, 20, 43, tzinfo=UTC)


def test_costs_are_cents_and_durations_milliseconds() -> None:
    record = read(cost=0.0375, response_time=812.5)

    assert (record.source_cost_nanousd, record.latency_us) == (375_000, 812_500)


@pytest.mark.parametrize(
    ("said", "code", "status"),
    [
        (True, 200, "ok"),
        (1, 200, "ok"),
        ("true", 200, "ok"),
        (0, 500, "failed"),
        (False, 200, "failed"),
        (None, 429, "failed"),
        (None, 204, "ok"),
    ],
)
def test_success_is_read_in_every_form_and_falls_back_to_the_status(said: Any, code: int, status: str) -> None:
    assert read(is_success=said, response_status_code=code).status == status


def test_cached_tokens_come_from_the_answer_s_usage() -> None:
    usage = {"prompt_tokens": 900, "completion_tokens": 40, "prompt_tokens_details": {"cached_tokens": 512}}

    record = read(response={"choices": [], "usage": usage})

    assert (record.input_tokens, record.output_tokens, record.cached_tokens) == (900, 40, 512)


def test_units_stand_in_for_a_missing_usage_and_0_is_unknown() -> None:
    assert read(response={"choices": []}, req_units=12.0, res_units=3.0).input_tokens == 12
    assert read(response=None, req_units=0, res_units=0).input_tokens is None


def test_metadata_are_texts_of_at_most_64_entries() -> None:
    many = {f"k{n}": "v" for n in range(99)}

    record = read(metadata={"a": 1, "b": True, "c": {"deep": 1}, "portkeyHeaders": "x", **many})

    assert (record.metadata["a"], record.metadata["b"]) == ("1", "true")
    assert "c" not in record.metadata
    assert "portkeyHeaders" not in record.metadata
    assert len(record.metadata) == 64


CHAT = {"object": "chat.completion", "choices": [{"message": {"content": "On its way."}, "finish_reason": "stop"}]}
CHUNKS = [
    {"object": "chat.completion.chunk", "choices": [{"delta": {"role": "assistant", "content": "On its "}}]},
    {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "way."}, "finish_reason": "stop"}]},
    {"object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}},
]
ANSWERS: dict[str, Any] = {
    "a chat completion": CHAT,
    "the same as a text": json.dumps(CHAT),
    "a list of chunks": CHUNKS,
    "an event stream": "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS) + "data: [DONE]\n",
    "the Responses API": {
        "object": "response", "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "On its way."}]}],
    },
    "Anthropic": {"type": "message", "content": [{"type": "text", "text": "On its way."}], "stop_reason": "end_turn"},
    "a bare text": "On its way.",
}  # fmt: skip


@pytest.mark.parametrize("response", ANSWERS.values(), ids=ANSWERS.keys())
def test_answers_are_read_in_every_form(response: Any) -> None:
    record = read(response=response)

    assert (record.refused, record.obstacle, record.status) == (False, "", "ok")


def test_streamed_tool_calls_are_joined() -> None:
    pieces = [
        [{"index": 0, "id": "c1", "function": {"name": "find", "arguments": '{"a"'}}],
        [{"index": 0, "function": {"arguments": ": 1}"}}],
    ]
    chunks = [{"choices": [{"delta": {"tool_calls": piece}}]} for piece in pieces]

    answer = bodies.answer_of(json.dumps(chunks))

    assert answer.tool_calls[0]["function"] == {"name": "find", "arguments": '{"a": 1}'}
    assert answer.given
    assert answer.text is None


IMAGE = {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}
OBSTACLES: dict[str, tuple[dict[str, Any], str]] = {
    "no request": ({"request": None}, "no_body"),
    "a cut request": ({"request": '{"model": "m", "messages": [{"role"'}, "truncated"),
    "an embedding": ({"request": {"input": "x"}}, "not_chat"),
    "an Anthropic request": ({"request_url": "https://api.anthropic.com/v1/messages"}, "not_chat"),
    "images": ({"request": IMAGE}, "images"),
    "no answer": ({"response": None}, "no_answer"),
    "refused for rate": ({"response": None, "is_success": False, "response_status_code": 429}, "refused_by_gateway"),
    "a bad request": (
        {"response": {"error": {"message": "x"}}, "is_success": False, "response_status_code": 400},
        "refused_by_gateway",
    ),
    "a failure of the model": ({"response": None, "is_success": False, "response_status_code": 503}, ""),
    "a time-out": ({"response": None, "is_success": False, "response_status_code": 408}, ""),
    "an answered call": ({}, ""),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "obstacle"), OBSTACLES.values(), ids=OBSTACLES.keys())
def test_what_keeps_a_call_from_being_replayed(changes: dict[str, Any], obstacle: str) -> None:
    assert read(**changes).obstacle == obstacle


def test_features_of_the_request_are_seen() -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function"}],
               "response_format": {"type": "json_schema"}, "stream": True}  # fmt: skip

    record = read(request=request)

    assert (record.uses_tools, record.uses_json, record.streamed, record.has_images) == (True, True, True, False)


def test_a_log_object_is_read_too() -> None:
    row = {
        "_id": "obj-1",
        "created_at": "2026-01-17T06:20:43Z",
        "organisation_id": "o",
        "request": {
            "url": "https://api.openai.com/v1/chat/completions",
            "headers": {"authorization": "secret"},
            "portkeyHeaders": {"x-portkey-trace-id": "t-9", "x-portkey-api-key": "secret"},
            "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]},
        },
        "response": {"status": 200, "responseTime": 450, "body": CHAT},
        "metrics": {"req_units": 5, "res_units": 2, "cost": 0.01, "ai_org": "openai",
                    "metadata.key": ["team"], "metadata.value": ["support"]},
    }  # fmt: skip

    (record,) = portkey.read(json.dumps(row).encode())

    assert (record.source_id, record.trace_key, record.model, record.status) == ("obj-1", "t-9", "gpt-4o", "ok")
    assert (record.latency_us, record.input_tokens, record.source_cost_nanousd) == (450_000, 5, 100_000)
    assert record.metadata == {"team": "support"}
    assert "secret" not in record.request + record.response


HOSTILE: dict[str, tuple[bytes, str]] = {
    "broken JSON": (b'{"id": "a", ', "bad_json"),
    "two values": (b'{"id": "a"} {"id": "b"}', "bad_json"),
    "NaN": (b'{"id": "a", "ai_model": "m", "cost": NaN}', "bad_json"),
    "a list": (b"[1, 2]", "not_an_object"),
    "null": (b"null", "not_an_object"),
    "a text": (b'"text"', "not_an_object"),
    "NUL bytes": (b'{"id": "a\x00"}', "nul_bytes"),
    "too deep": (b'{"request": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep"),
    "too long": (b'{"id": "' + b"a" * fields.MAX_LINE_BYTES + b'"}', "too_long"),
    "nothing in it": (b"{}", "no_request"),
    "no model": (b'{"request": {"messages": []}}', "no_model"),
    "an id that is an object": (b'{"id": {}, "ai_model": "m"}', "wrong_type"),
    "an id too long": (b'{"ai_model": "m", "id": "' + b"a" * 300 + b'"}', "too_long"),
    "a model that is a list": (b'{"ai_model": ["m"]}', "wrong_type"),
    "tokens in words": (b'{"ai_model": "m", "req_units": "many"}', "wrong_type"),
    "negative tokens": (b'{"ai_model": "m", "req_units": -1}', "negative"),
    "tokens beyond count": (b'{"ai_model": "m", "req_units": 1e300}', "wrong_type"),
    "a huge whole number": (b'{"ai_model": "m", "req_units": ' + b"9" * 400 + b"}", "wrong_type"),
    "a negative cost": (b'{"ai_model": "m", "cost": -0.5}', "negative"),
    "a year of latency": (b'{"ai_model": "m", "response_time": 4e10}', "wrong_type"),
    "a status of 42": (b'{"ai_model": "m", "response_status_code": 42}', "wrong_type"),
    "no time at all": (b'{"ai_model": "m", "created_at": "yesterday"}', "bad_time"),
    "a time that is a list": (b'{"ai_model": "m", "created_at": []}', "bad_time"),
    "1970": (b'{"ai_model": "m", "created_at": 0}', "absurd_time"),
    "the year 9999": (b'{"ai_model": "m", "created_at": "9999-12-31T00:00:00Z"}', "absurd_time"),
}
HOSTILE["Latin-1"] = ('{"id": "é"}'.encode("latin-1"), "encoding")


@pytest.mark.parametrize(("line", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_row_that_cannot_be_read_says_why(line: bytes, code: str) -> None:
    assert code_of(line) == code


def test_reasons_quote_no_content() -> None:
    with pytest.raises(Unreadable) as caught:
        read(created_at="planted-secret")

    assert "planted-secret" not in caught.value.reason


def test_what_the_database_cannot_store_is_left_out_of_short_texts() -> None:
    record = read(metadata={"a": "x\x00y"}, trace_id="t\x00")

    assert (record.metadata["a"], record.trace_key) == ("xy", "t")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from([*portkey_row(1), "_id", "metrics", "prompt_slug"])
BODY = ["messages", "choices", "usage", "output", "content", "body", "error", "model"]
PARTS = st.dictionaries(st.sampled_from(BODY), JSON)


def read_or_code(line: bytes) -> str:
    try:
        return portkey.read(line)[0].model
    except Unreadable as error:
        return error.code


@given(st.dictionaries(NAMES, JSON | PARTS))
def test_any_object_is_read_or_refused_but_never_breaks(changes: dict[str, Any]) -> None:
    outcome = read_or_code(json.dumps({**portkey_row(1), **changes}).encode())

    assert outcome


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_but_never_break(line: bytes) -> None:
    outcome = read_or_code(line)

    assert outcome


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Sat Jan 17 2026 06:20:43 GMT+0000 (UTC)", datetime(2026, 1, 17, 6, 20, 43, tzinfo=UTC)),
        ("Sat Jan 17 2026 06:20:43 GMT+0200 (EET)", datetime(2026, 1, 17, 4, 20, 43, tzinfo=UTC)),
        ("sat jan 17 2026 06:20:43 GMT+0000", datetime(2026, 1, 17, 6, 20, 43, tzinfo=UTC)),
    ],
)
def test_a_date_of_javascript_is_read_in_any_zone(written: str, expected: datetime) -> None:
    assert fields.moment(written, "created_at") == expected


@pytest.mark.parametrize("written", ["Sat Jan 37 2026 06:20:43 GMT+0000", "Sat Jan 17x2026 06:20:43 GMT+0000"])
def test_a_date_that_does_not_exist_is_refused(written: str) -> None:
    with pytest.raises(Unreadable, match="cannot be read"):
        fields.moment(written, "created_at")
