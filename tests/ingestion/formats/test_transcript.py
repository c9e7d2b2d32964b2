"""Conversations taken apart into the calls of their agent."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingestion.formats import detection, transcript
from ingestion.formats.fields import Unreadable
from ingestion.values import RawRecord

CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "assistant", "content": "Hi! How can I help?"},
    {"role": "user", "content": "Where is my order?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "lost", "tool_call_id": "c1"},
    {"role": "assistant", "content": "It is lost."},
    {"role": "user", "content": "Oh."},
]
META = [
    ["2025-08-01T16:20:44", None, None, 0.0],
    ["2025-08-01T16:20:46", 393, 64, 0.9],
    ["2025-08-01T16:20:48", 3359, 53, 0.002342],
    ["2025-08-01T16:20:49", None, None, None],
    ["2025-08-01T16:20:50", 3473, 21, None],
    ["2025-08-01T16:20:52", 500, 5, 0.9],
]


def row(**changes: Any) -> dict[str, Any]:
    given = {"trajectory_id": "t1", "agent_model": "gpt-4.1", "reward": 0.0, "tools_ref": "tau1", "messages": MESSAGES}
    return {**given, "message_meta": META, **changes}


def read(**changes: Any) -> tuple[RawRecord, ...]:
    return transcript.read(json.dumps(row(**changes)).encode())


def code_of(**changes: Any) -> str:
    with pytest.raises(Unreadable) as caught:
        read(**changes)
    return caught.value.code


def test_each_assistant_message_is_a_call_of_the_same_trace() -> None:
    records = read()

    assert [record.source_id for record in records] == ["t1/0", "t1/2", "t1/4"]
    assert {record.trace_key for record in records} == {"t1"}
    assert {record.model for record in records} == {"gpt-4.1"}


def test_the_request_is_what_came_before_and_the_answer_the_message() -> None:
    records = read(tools=[{"type": "function"}])

    assert json.loads(records[2].request) == {
        "model": "gpt-4.1",
        "messages": MESSAGES[:4],
        "tools": [{"type": "function"}],
    }
    assert json.loads(records[2].response) == {"choices": [{"message": MESSAGES[4]}]}
    assert records[2].preview == "Where is my order?"
    assert [record.obstacle for record in records] == ["not_chat", "", ""]  # before the greeting nothing was said


def test_tokens_cost_and_time_are_the_message_s_own() -> None:
    _, calling, answering = read()

    assert (calling.input_tokens, calling.output_tokens, calling.source_cost_nanousd) == (3359, 53, 2_342_000)
    assert (answering.input_tokens, answering.source_cost_nanousd) == (3473, None)
    assert calling.occurred_at == datetime(2025, 8, 1, 16, 20, 48, tzinfo=UTC)


def test_every_message_and_tool_call_is_counted_once() -> None:
    records = read()

    assert [record.messages for record in records] == [1, 2, 3]  # the last user message belongs to the last answer
    assert [record.tool_calls for record in records] == [0, 1, 0]


def test_what_else_is_told_becomes_metadata() -> None:
    record = read(metadata={"team": "a"}, expected_actions=[{"name": "x"}])[0]

    assert record.metadata == {"reward": "0.0", "tools_ref": "tau1", "team": "a"}


def test_without_times_the_conversation_s_start_stands_else_none() -> None:
    assert read(message_meta=None)[0].occurred_at is None
    assert read(message_meta=None, started_at="2025-01-01T00:00:00")[0].occurred_at == datetime(2025, 1, 1, tzinfo=UTC)


def test_what_is_told_may_stand_in_objects_or_in_the_messages() -> None:
    meta = [{"timestamp": "2025-08-01T16:20:48Z", "prompt_tokens": 7, "completion_tokens": 2, "cost_usd": 0.5}] * 2
    inline = {"role": "assistant", "content": "a", "usage": {"prompt_tokens": 7, "completion_tokens": 2},
              "cost": 0.5, "timestamp": "2025-08-01T16:20:48Z"}  # fmt: skip

    (beside,) = read(messages=MESSAGES[:2], message_meta=meta)
    (within,) = read(messages=[inline], message_meta=None)

    for record in (beside, within):
        assert (record.input_tokens, record.output_tokens, record.source_cost_nanousd) == (7, 2, 500_000_000)
        assert record.occurred_at == datetime(2025, 8, 1, 16, 20, 48, tzinfo=UTC)


def test_a_conversation_that_cannot_be_taken_apart_is_refused() -> None:
    assert code_of(messages=[]) == "no_messages"
    assert code_of(messages="hi") == "wrong_type"
    assert code_of(messages=["hi"], message_meta=None) == "wrong_type"
    assert code_of(messages=[{"role": "user", "content": "hi"}], message_meta=None) == "no_answer"
    assert code_of(message_meta=META[:2]) == "wrong_type"
    assert code_of(agent_model=None) == "no_model"
    long = [{"role": "user", "content": "x" * 10_000_000}, *[{"role": "assistant", "content": "a"}] * 20]
    assert code_of(messages=long, message_meta=None) == "too_long"


def test_recorded_runs_give_the_file_s_own_sums(recordings: Path) -> None:
    given: dict[str, float] = dict.fromkeys(("answers", "messages", "tool_calls", "input", "output", "nanousd"), 0)
    records: list[RawRecord] = []
    for line in gzip.decompress((recordings / "agent_trajectories.jsonl.gz").read_bytes()).splitlines():
        records += transcript.read(line)
        run = json.loads(line)
        given["messages"] += len(run["messages"])
        for message, meta in zip(
            run["messages"], run["message_meta"] or [[None] * 4] * len(run["messages"]), strict=True
        ):
            given["tool_calls"] += len(message.get("tool_calls") or [])
            if message["role"] == "assistant":
                given["answers"] += 1
                given["input"] += meta[1] or 0
                given["output"] += meta[2] or 0
                given["nanousd"] += round((meta[3] or 0) * 1e9)

    assert len(records) == given["answers"] == len({record.source_id for record in records})
    assert sum(record.messages for record in records) == given["messages"]
    assert sum(record.tool_calls for record in records) == given["tool_calls"]
    assert sum(record.input_tokens or 0 for record in records) == given["input"]
    assert sum(record.output_tokens or 0 for record in records) == given["output"]
    assert sum(record.source_cost_nanousd or 0 for record in records) == given["nanousd"]
    assert any(record.source_cost_nanousd is None for record in records)


def test_transcripts_are_found_by_looking() -> None:
    assert detection.detect([json.dumps(row()).encode()]) == "transcript"
    assert detection.detect([json.dumps({"messages": MESSAGES, "model": "m"}).encode()]) == "transcript"
