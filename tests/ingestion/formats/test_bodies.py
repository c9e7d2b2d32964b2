"""What request and answer tell beside their texts: tokens of every kind, messages, tool calls."""

import json
from typing import Any

import pytest

from ingestion.formats import bodies, openai
from ingestion.values import Usage

CALL = {"id": "1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
USAGES: dict[str, tuple[dict[str, Any], Usage]] = {
    "chat": (
        {
            "prompt_tokens": 90,
            "completion_tokens": 40,
            "prompt_tokens_details": {"cached_tokens": 50, "cache_write_tokens": 20},
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
        Usage(90, 40, 50, 20, 30),
    ),
    "Responses": (
        {"input_tokens": 90, "output_tokens": 40, "input_tokens_details": {"cached_tokens": 50},
         "output_tokens_details": {"reasoning_tokens": 30}},
        Usage(90, 40, 50, None, 30),
    ),
    # by hand: Anthropic's input leaves out what was read from and written to the cache: 10 + 50 + 20
    "Anthropic": (
        {"input_tokens": 10, "output_tokens": 40, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 20},
        Usage(80, 40, 50, 20, None),
    ),
    "a part larger than its whole": (
        {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 50},
         "completion_tokens_details": {"reasoning_tokens": 30}},
        Usage(9, 4, 9, None, 4),
    ),
    "nothing": ({}, Usage(None, None)),
}  # fmt: skip


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES.keys())
def test_tokens_of_every_kind_are_read(usage: dict[str, Any], expected: Usage) -> None:
    assert bodies.usage_of(usage) == expected


def test_messages_and_tool_calls_of_question_and_answer_are_counted() -> None:
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [CALL, CALL]},
        {"role": "tool", "content": "x", "tool_call_id": "1"},
    ]
    answer = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    row = {"request": {"model": "m", "messages": messages}, "response": {"choices": [{"message": answer}]}}

    (record,) = openai.read(json.dumps(row).encode())

    assert (record.messages, record.tool_calls) == (4, 3)


def test_a_call_without_an_answer_counts_its_question_only() -> None:
    row = {"request": {"model": "m", "messages": [{"role": "user", "content": "hi"}]}, "response": None}

    (record,) = openai.read(json.dumps(row).encode())

    assert (record.messages, record.tool_calls) == (1, 0)
