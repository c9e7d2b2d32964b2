"""Helicone's rows as its query and its export tool write them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ingestion.formats import helicone
from ingestion.formats.fields import Unreadable
from ingestion.values import RawRecord

REQUEST = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Where is my order?"}]}
RESPONSE = {
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"message": {"role": "assistant", "content": "On its way."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 900, "completion_tokens": 40, "prompt_tokens_details": {"cached_tokens": 512}},
}
ROW: dict[str, Any] = {
    "response_id": "res-1",
    "response_created_at": "2026-01-17T06:20:44.000Z",
    "response_body": RESPONSE,
    "response_status": 200,
    "response_model": "gpt-4o-mini-2024-07-18",
    "request_id": "req-1",
    "request_created_at": "2026-01-17T06:20:43.000Z",
    "request_body": REQUEST,
    "request_path": "/v1/chat/completions",
    "request_user_id": "user-7",
    "request_properties": {"Helicone-Session-Id": "session-1", "team": "support"},
    "request_model": "gpt-4o-mini",
    "provider": "OPENAI",
    "delay_ms": 812,
    "time_to_first_token": 120,
    "prompt_tokens": 1,
    "completion_tokens": 1,
    "prompt_cache_read_tokens": 0,
    "cost": 0.000375,
    "prompt_id": "support",
    "scores": {"helpful": {"value": 5, "valueType": "number"}},
    "llmSchema": None,
}


def read(**changes: Any) -> RawRecord:
    return helicone.read(json.dumps({**ROW, **changes}).encode())[0]


def test_a_row_is_a_call() -> None:
    record = read()

    assert (record.source_id, record.trace_key, record.provider) == ("req-1", "session-1", "openai")
    assert (record.model, record.status, record.status_code) == ("gpt-4o-mini", "ok", 200)
    assert record.occurred_at == datetime(2026, 1, 17, 6, 20, 43, tzinfo=UTC)
    assert (record.latency_us, record.first_token_us, record.source_cost_nanousd) == (812_000, 120_000, 375_000)
    assert (record.input_tokens, record.output_tokens, record.cached_tokens) == (900, 40, 512)
    assert (record.obstacle, record.messages, record.prompt_version) == ("", 2, "support")
    assert record.metadata["user_id"] == "user-7"
    assert record.metadata["score_helpful"] == "5"
    assert json.loads(record.request) == REQUEST


def test_without_bodies_the_row_s_own_tokens_stand() -> None:
    record = read(request_body={}, response_body={}, prompt_tokens=12, completion_tokens=3, prompt_cache_write_tokens=5)

    assert (record.obstacle, record.input_tokens, record.output_tokens, record.cache_write_tokens) == (
        "no_body",
        12,
        3,
        5,
    )


def test_nothing_counted_is_unknown() -> None:
    assert read(response_body=None, prompt_tokens=0, completion_tokens=0).input_tokens is None


@pytest.mark.parametrize(("status", "expected"), [(-3, ("failed", None)), (429, ("failed", 429)), ("200", ("ok", 200))])
def test_a_status_below_0_is_a_call_without_an_answer(status: Any, expected: tuple[str, int | None]) -> None:
    record = read(response_status=status)

    assert (record.status, record.status_code) == expected


def test_bodies_in_csv_may_be_text_with_quotes_doubled_twice() -> None:
    plain, doubled = json.dumps(REQUEST), json.dumps(REQUEST).replace('"', '""')

    assert read(request_body=plain).preview == read(request_body=doubled).preview == "Where is my order?"


def test_the_export_tool_s_csv_knows_no_request_id() -> None:
    record = read(request_id="", latency="812", delay_ms="", model="gpt-4o", request_model="", response_model="")

    assert (record.source_id, record.latency_us, record.model) == ("res-1", 812_000, "gpt-4o")


def test_what_is_not_of_helicone_is_refused() -> None:
    with pytest.raises(Unreadable) as caught:
        helicone.read(b'{"city": "Rome"}')

    assert caught.value.code == "no_call"
