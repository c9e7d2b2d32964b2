"""What is read out of the bytes of a reply, whatever they hold."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.gateway import replies


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
