"""OpenAI-style lines and batch files, and how a format is found out."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from agentopt.lib.errors import Invalid
from ingestion.formats import detection, openai
from ingestion.formats.fields import Unreadable
from ingestion.values import RawRecord
from tests.ingestion.conftest import portkey_row

REQUEST = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
RESPONSE = {
    "id": "chatcmpl-1",
    "created": 1768630843,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2},
}


def read(**row: Any) -> RawRecord:
    return openai.read(json.dumps(row).encode())[0]


def test_bodies_alone_are_enough() -> None:
    record = read(request=REQUEST, response=RESPONSE)

    assert (record.source_id, record.trace_key) == (None, None)
    assert record.occurred_at == datetime(2026, 1, 17, 6, 20, 43, tzinfo=UTC)
    assert (record.model, record.input_tokens, record.output_tokens) == ("gpt-4o-mini", 9, 2)


def test_what_stands_beside_the_bodies_is_taken() -> None:
    record = read(
        id="a", timestamp="2026-02-01T00:00:00Z", conversation_id="c", cost_usd=0.25, provider="openai",
        metadata={"user": "7"}, request=REQUEST, response=RESPONSE,
    )  # fmt: skip

    assert (record.source_id, record.trace_key, record.provider) == ("a", "c", "openai")
    assert record.occurred_at == datetime(2026, 2, 1, tzinfo=UTC)
    assert (record.source_cost_nanousd, record.metadata) == (250_000_000, {"user": "7"})


@pytest.mark.parametrize(
    ("name", "amount", "latency_us"),
    [("latency_ms", 1500, 1_500_000), ("latency_s", 1.5, 1_500_000), ("duration_ms", 7, 7000)],
)
def test_the_unit_of_a_latency_is_in_its_name(name: str, amount: float, latency_us: int) -> None:
    assert read(request=REQUEST, response=RESPONSE, **{name: amount}).latency_us == latency_us


def test_a_latency_without_a_unit_is_unknown() -> None:
    assert read(request=REQUEST, response=RESPONSE, latency=7).latency_us is None


def test_batch_files_are_read() -> None:
    record = read(
        id="batch_req_1",
        custom_id="mine",
        body=REQUEST,
        response={"status_code": 200, "request_id": "r", "body": RESPONSE},
    )

    assert (record.source_id, record.status_code, record.status, record.obstacle) == ("batch_req_1", 200, "ok", "")
    assert json.loads(record.request) == REQUEST
    assert json.loads(record.response) == RESPONSE


def test_an_error_beside_a_missing_response_is_a_failure() -> None:
    record = read(request=REQUEST, response=None, error={"message": "overloaded"}, status_code=529)

    assert (record.status, record.refused, record.obstacle) == ("failed", None, "")


def test_a_row_without_a_request_is_refused() -> None:
    with pytest.raises(Unreadable) as caught:
        read(response=RESPONSE)

    assert caught.value.code == "no_request"


def test_a_refusal_field_is_a_refusal() -> None:
    message = {"role": "assistant", "content": None, "refusal": "No."}

    assert read(request=REQUEST, response={"choices": [{"message": message}]}).refused is True


def test_an_answer_of_tool_calls_alone_refuses_nothing() -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    message = {"role": "assistant", "content": None, "tool_calls": calls}

    record = read(request=REQUEST, response={"choices": [{"message": message}]})

    assert (record.refused, record.obstacle) == (False, "")


def line(row: Any) -> bytes:
    return json.dumps(row).encode()


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ([line(portkey_row(1))], "portkey"),
        ([b"broken", b"[]", line(portkey_row(1))], "portkey"),
        ([line({"_id": "a", "request": {"body": {}}, "response": {}, "metrics": {}})], "portkey"),
        ([line({"request": REQUEST, "response": RESPONSE})], "openai"),
        ([line({"custom_id": "a", "body": REQUEST, "response": {"body": RESPONSE}})], "openai"),
        ([line({"id": "a", "created_at": 1, "request": REQUEST, "response": RESPONSE, "latency_ms": 5})], "openai"),
    ],
)
def test_the_format_is_found_by_looking(lines: list[bytes], name: str) -> None:
    assert detection.detect(lines) == name


def test_what_is_no_log_is_refused_with_the_formats_we_know() -> None:
    with pytest.raises(Invalid, match="portkey, openai"):
        detection.detect([b'{"city": "Rome"}'])

    with pytest.raises(Invalid, match="portkey, openai"):
        detection.reader("xml")
