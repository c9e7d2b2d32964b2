"""What is read out of the bytes of a reply, whatever they hold."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import exchanges
from ingestion.gateway import errors, replies


def completion(content: Any, **message: Any) -> dict[str, Any]:
    """One completion as a provider sends it."""
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": "stop"}], "model": "m"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"a\u0000b", "a\ufffdb"),  # no database text holds NUL
        (r"cut \ud83d", "cut \ufffd"),  # half an emoji, where the answer reached its limit
        (r"low \ude00 alone", "low \ufffd alone"),
        (r"whole \ud83d\ude00", "whole 😀"),
        (r"spelled \\u0000 and \\ud83d", r"spelled \u0000 and \ud83d"),  # text about escapes stays as it is
        (r"\\\u0000", "\\\ufffd"),
    ],
)
def test_text_that_no_database_can_hold_is_marked_and_the_rest_kept(written: str, read: str) -> None:
    raw = json.dumps(completion("@")).replace("@", written).encode()

    assert replies.read(raw).text == read


def test_tool_calls_are_mended_alike() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f\x00", "arguments": "{}"}}

    assert (
        replies.read(json.dumps(completion(None, tool_calls=[call])).encode()).tool_calls[0]["function"]["name"]
        == "f\ufffd"
    )


def test_streamed_text_is_mended_alike() -> None:
    stream = replies.Stream()

    chunk = json.dumps({"choices": [{"delta": {"content": "a\x00b"}, "finish_reason": "stop"}]})
    stream.feed(f"data: {chunk}\n\ndata: [DONE]\n\n".encode())

    assert stream.answer().text == "a\ufffdb"


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_any_text_comes_out_storable(text: str) -> None:
    found = replies.read(json.dumps(completion(text)).encode()).text

    assert "\x00" not in found
    found.encode()  # no half of a surrogate pair is left
    assert len(found) <= len(text)


def test_an_answer_that_a_filter_took_away_is_empty_and_says_so() -> None:
    raw = {"choices": [{"index": 0, "finish_reason": "content_filter"}], "usage": {"prompt_tokens": 15}}

    found = replies.read(json.dumps(raw).encode())

    assert (found.text, found.finish_reason, found.usage.input_tokens) == ("", "content_filter", 15)


def test_a_filter_that_answers_200_with_an_error_is_not_asked_again() -> None:
    raw = {"error": {"code": "content_filter", "message": "filtered"}}

    with pytest.raises(errors.BadAnswer) as caught:
        replies.read(json.dumps(raw).encode())

    assert (caught.value.provider_code, caught.value.retryable) == ("content_filter", False)
    assert "error (content_filter)" in caught.value.message


def test_every_recorded_reply_of_a_provider_comes_through_as_it_was(recordings: Path) -> None:
    found = exchanges.run(exchanges.read(recordings / "provider_exchanges.jsonl.gz"))

    assert found["mismatches"] == []
    assert found["ok"] + found["errors"] == found["rows"]
    assert found["error_status_kept"] == found["errors"]


def test_the_benchmark_of_recorded_replies_tells_answers_from_errors_and_finds_what_differs() -> None:
    body = {"choices": [{"message": {"content": [{"type": "text", "text": "line\u2028two"}]}}], "usage": None}
    old = {"choices": [{"message": {"content": None, "function_call": {"name": "f", "arguments": "{}"}}}]}
    sse = ': wait\r\n\r\nevent: x\r\ndata: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\r\n\r\n'
    rows: list[dict[str, Any]] = [
        {"status": 200, "response": body},
        {"status": 200, "response": old},
        {"status": 200, "stream": True, "sse": sse},
        {"status": 200, "stream": True, "sse": 'data: {"error": {"message": "boom"}}\n\n'},
        {"status": 400, "stream": True, "response": {"error": "no such model"}},
        {"status": 404, "response": "<html>no</html>"},
        {"status": 422, "response": None},
    ]
    exchanges_ = [
        {"exchange_id": str(n), "request": None, "stream": False, "sse": None, "response": None, **row}
        for n, row in enumerate(rows)
    ]

    found = exchanges.run(exchanges_)

    assert found["mismatches"] == []
    assert (found["ok"], found["errors"], found["error_status_kept"], found["crashed"]) == (3, 4, 4, 0)
    assert (found["with_text"], found["with_tool_calls"], found["with_function_calls"]) == (2, 0, 1)
    differing = {
        **exchanges_[0],
        "response": {"choices": [{"message": {"content": "x"}}], "usage": {"input_tokens": 3}},
    }
    assert [one["why"] for one in exchanges.run([differing])["mismatches"]] == ["differs in usage"]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # as OpenAI tells it, then Anthropic's own names, then nothing
        (
            {"prompt_tokens": 100, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 40},
             "completion_tokens_details": {"reasoning_tokens": 30}},
            (100, 50, 40, None, 30),
        ),
        (
            {"prompt_tokens": 100, "completion_tokens": 5, "cache_read_input_tokens": 20,
             "cache_creation_input_tokens": 60},
            (100, 5, 20, 60, None),
        ),
        ({"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cache_write_tokens": 1}},
         (1, 2, None, 1, None)),
        ({}, (None, None, None, None, None)),
    ],
)  # fmt: skip
def test_tokens_of_every_kind_are_read(usage: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    raw = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": usage}

    told = replies.read(json.dumps(raw).encode()).usage

    assert (
        told.input_tokens, told.output_tokens, told.cached_tokens, told.cache_write_tokens, told.reasoning_tokens
    ) == expected  # fmt: skip
