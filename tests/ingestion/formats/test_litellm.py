"""LiteLLM's logging payload and spend logs."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ingestion.formats import litellm
from ingestion.formats.fields import Unreadable
from ingestion.values import RawRecord

MESSAGES = [{"role": "user", "content": "Where is my order?"}]
RESPONSE = {"choices": [{"message": {"role": "assistant", "content": "On its way."}, "finish_reason": "stop"}]}
PAYLOAD: dict[str, Any] = {
    "id": "chatcmpl-1",
    "trace_id": "trace-1",
    "call_type": "acompletion",
    "stream": True,
    "response_cost": 0.000375,
    "status": "success",
    "custom_llm_provider": "openai",
    "total_tokens": 940,
    "prompt_tokens": 900,
    "completion_tokens": 40,
    "startTime": 1768630843.0,
    "endTime": 1768630844.5,
    "completionStartTime": 1768630843.25,
    "response_time": 0.25,
    "model": "gpt-4o-mini",
    "model_group": "fast",
    "api_base": "https://api.openai.com/v1",
    "metadata": {
        "user_api_key_hash": "planted-hash",
        "user_api_key_alias": "support-key",
        "spend_logs_metadata": {"team": "support"},
        "requester_custom_headers": {"authorization": "planted-secret"},
        "usage_object": {"prompt_tokens": 900, "completion_tokens": 40,
                         "prompt_tokens_details": {"cached_tokens": 512, "cache_creation_tokens": 100},
                         "completion_tokens_details": {"reasoning_tokens": 30}},
    },
    "cache_hit": False,
    "request_tags": ["prod", "agent"],
    "end_user": "user-7",
    "messages": MESSAGES,
    "response": RESPONSE,
    "error_str": None,
    "model_parameters": {"temperature": 0.2, "stream": True, "api_key": "planted-secret"},
    "hidden_params": {"additional_headers": {"authorization": "planted-secret"}},
}  # fmt: skip
SPEND: dict[str, Any] = {
    "request_id": "chatcmpl-1",
    "call_type": "acompletion",
    "api_key": "planted-hash",
    "spend": 0.000375,
    "total_tokens": 940,
    "prompt_tokens": 900,
    "completion_tokens": 40,
    "startTime": "2026-01-17T06:20:43.000Z",
    "endTime": "2026-01-17T06:20:44.500Z",
    "completionStartTime": "2026-01-17T06:20:43.250Z",
    "model": "gpt-4o-mini",
    "model_group": "fast",
    "custom_llm_provider": "openai",
    "metadata": json.dumps(PAYLOAD["metadata"]),
    "cache_hit": "False",
    "request_tags": '["prod", "agent"]',
    "end_user": "user-7",
    "messages": {},
    "response": RESPONSE,
    "session_id": "trace-1",
    "status": "success",
    "proxy_server_request": {"model": "fast", "messages": MESSAGES, "temperature": 0.2},
}


def read(row: dict[str, Any]) -> RawRecord:
    return litellm.read(json.dumps(row).encode())[0]


@pytest.mark.parametrize("row", [PAYLOAD, SPEND], ids=["payload", "spend log"])
def test_a_row_is_a_call(row: dict[str, Any]) -> None:
    record = read(row)

    assert (record.source_id, record.trace_key, record.provider) == ("chatcmpl-1", "trace-1", "openai")
    assert (record.model, record.status, record.obstacle, record.messages) == ("gpt-4o-mini", "ok", "", 2)
    assert record.occurred_at == datetime(2026, 1, 17, 6, 20, 43, tzinfo=UTC)
    assert (record.latency_us, record.first_token_us, record.source_cost_nanousd) == (1_500_000, 250_000, 375_000)
    assert (record.input_tokens, record.output_tokens) == (900, 40)
    assert (record.cached_tokens, record.cache_write_tokens, record.reasoning_tokens) == (512, 100, 30)
    assert record.metadata["request_tags"] == "prod,agent"
    assert record.metadata["user_api_key_alias"] == "support-key"
    assert record.metadata["team"] == "support"
    assert json.loads(record.request)["messages"] == MESSAGES
    assert json.loads(record.request)["temperature"] == 0.2
    assert "planted" not in repr(record)


def test_a_request_with_headers_gives_its_body_only() -> None:
    sent = {"url": "x", "headers": {"authorization": "planted-secret"}, "body": {"model": "m", "messages": MESSAGES}}

    assert json.loads(read({**SPEND, "proxy_server_request": sent}).request) == sent["body"]
    assert json.loads(read({**SPEND, "proxy_server_request": json.dumps(sent)}).request) == sent["body"]


def test_spend_logs_without_prompts_still_count() -> None:
    record = read({**SPEND, "messages": {}, "response": {}, "proxy_server_request": "{}"})

    assert (record.obstacle, record.request, record.input_tokens) == ("no_body", "", 900)


def test_a_failure_tells_its_status_and_reason() -> None:
    information = {"error_code": "429", "error_class": "RateLimitError", "llm_provider": "openai"}

    record = read({**PAYLOAD, "status": "failure", "response": None, "error_information": information,
                   "error_str": "slow down", "prompt_tokens": 0, "completion_tokens": 0, "metadata": {}})  # fmt: skip

    assert (record.status, record.status_code, record.obstacle) == ("failed", 429, "refused_by_gateway")
    assert json.loads(record.response) == {"error": {"message": "slow down"}}
    assert record.input_tokens is None


def test_without_streaming_the_first_token_is_unknown() -> None:
    assert read({**PAYLOAD, "completionStartTime": PAYLOAD["endTime"]}).first_token_us is None


@pytest.mark.parametrize("kind", ["aembedding", "atext_completion", "aresponses", "anthropic_messages"])
def test_other_types_of_call_are_no_chat(kind: str) -> None:
    assert read({**PAYLOAD, "call_type": kind}).obstacle == "not_chat"


def test_what_is_not_of_litellm_is_refused() -> None:
    with pytest.raises(Unreadable) as caught:
        litellm.read(b'{"city": "Rome"}')

    assert caught.value.code == "no_call"
