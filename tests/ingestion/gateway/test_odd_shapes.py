"""Replies in the shapes of other providers, half broken ones too: what was answered is kept, and nothing crashes."""

import gzip
import json
from typing import Any

import pytest

from ingestion.gateway import errors, replies
from ingestion.gateway.base import Usage
from ingestion.gateway.replies import Answer
from tests.ingestion.gateway.fake import DONE, completion, event, serving
from tests.ingestion.gateway.test_chat import ask, failure, request

DEEP = b"[" * 50_000


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": delta, "finish_reason": finish}])


def piece(**call: Any) -> bytes:
    return chunk(tool_calls=[call])


HI, END = chunk(content="hi"), chunk("stop")


def streamed(*pieces: bytes) -> Answer:
    stream = replies.Stream()
    for one in pieces:
        stream.feed(one)
    return stream.answer()


def test_odd_fields_of_no_weight_do_not_cost_the_answer() -> None:
    odd = {
        "model": 5,
        "usage": [],
        "choices": [{"finish_reason": {"type": "stop"}, "message": {"content": "hi", "refusal": False}}],
    }

    found = replies.read(b"\xef\xbb\xbf" + json.dumps(odd).encode())

    assert (found.text, found.model, found.finish_reason, found.refusal) == ("hi", "", "", None)
    assert found.usage == replies.NO_USAGE


def test_content_parts_are_text_and_thoughts_are_not() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "hi"}, "x"]

    assert replies.read(json.dumps(completion(parts)).encode()).text == "hi"  # type: ignore[arg-type]  # parts, no text


@pytest.mark.parametrize(
    ("message", "calls"),
    [
        ({"content": None, "tool_calls": [None, {"function": {"name": "f", "arguments": {"a": 1}}}]},
         [{"function": {"name": "f", "arguments": {"a": 1}}}]),
        ({"content": None, "tool_calls": {"f": 1}}, []),
        ({"content": None, "function_call": {"name": "f", "arguments": "{}"}},
         [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]),
    ],
)  # fmt: skip
def test_tool_calls_are_read_in_their_old_and_odd_forms(message: dict[str, Any], calls: list[Any]) -> None:
    assert list(replies.read(json.dumps({"choices": [{"message": message}]}).encode()).tool_calls) == calls


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        # by hand: Anthropic's input leaves out what was read from and written to the cache: 5 + 3 + 2
        ({"input_tokens": 5, "output_tokens": 6, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2},
         Usage(10, 6, 3, 2)),
        ({"prompt_tokens": 50, "completion_tokens": 6, "prompt_cache_hit_tokens": 30}, Usage(50, 6, 30)),
        ({"input_tokens": 5, "output_tokens": 6, "input_tokens_details": {"cached_tokens": 1},
          "output_tokens_details": {"reasoning_tokens": 2}}, Usage(5, 6, 1, None, 2)),
    ],
)  # fmt: skip
def test_tokens_are_read_as_other_providers_spell_them(usage: dict[str, Any], tokens: Usage) -> None:
    assert replies.read(json.dumps({**completion(), "usage": usage}).encode()).usage == tokens


@pytest.mark.parametrize(
    "pieces",
    [
        (b": PROCESSING\n\n", b"event: message\nid: 4\nretry: 10\n" + HI, b"data:\n\n", END, DONE),
        ((HI + END + DONE).replace(b"\n", b"\r"),),  # lines that end with \r alone
        ((HI + END + DONE).replace(b"\n\n", b"\n"),),  # events that one line break ends
        (b"\xef\xbb\xbf" + HI, END),  # without [DONE]
        (HI, DONE, b"data: junk\n\n"),  # [DONE] without a finish reason
        (event(choices=[{"index": None, "delta": None}]), event(choices=None), HI, event(choices=[], usage="no"), END),
        (event(choices=[{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]),),
        (chunk(content=[{"type": "text", "text": "hi"}]), END),
        (json.dumps(completion("hi"), indent=1).encode(),),  # no stream at all
    ],
)
def test_a_stream_of_odd_shape_is_the_same_answer(pieces: tuple[bytes, ...]) -> None:
    whole = b"".join(pieces)

    assert streamed(*pieces).text == "hi"
    assert streamed(*(whole[at : at + 1] for at in range(len(whole)))).text == "hi"


def test_letters_that_are_cut_between_two_pieces_are_whole() -> None:
    raw = 'data: {"choices":[{"delta":{"content":"Grüße 😀"}}]}\r\n\r\n'.encode()

    assert streamed(*(bytes([byte]) for byte in raw), END).text == "Grüße 😀"


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        # without indexes: a piece without an id belongs to the last call
        ((piece(id="a", function={"name": "f", "arguments": '{"x"'}), piece(function={"arguments": ":1}"}),
          piece(id="b", function={"name": "g", "arguments": "{}"})), [("f", '{"x":1}'), ("g", "{}")]),
        # without both: who names a function begins a call
        ((piece(function={"name": "f", "arguments": "{}"}), piece(function={"name": "g", "arguments": "{}"})),
         [("f", "{}"), ("g", "{}")]),
        # several calls under one index
        ((piece(index=0, id="a", function={"name": "f", "arguments": "{}"}),
          piece(index=0, id="b", function={"name": "g", "arguments": "{}"})), [("f", "{}"), ("g", "{}")]),
        # id and name are said again with each piece
        ((piece(index=0, id="a", function={"name": "f", "arguments": '{"x"'}),
          piece(index=0, id="a", function={"name": "f", "arguments": ":1}"})), [("f", '{"x":1}')]),
        # nothing where text comes later
        ((piece(index=0, id="a", function={"name": "f", "arguments": None}),
          piece(index=0, function={"arguments": "{}"})), [("f", "{}")]),
        # an object in place of its text, and what fits nothing
        ((piece(index=0, function={"name": "f", "arguments": {"x": 1}}),
          piece(index=0, function={"arguments": "{}"}), piece(index=0, function="odd")), [("f", {"x": 1})]),
        ((chunk(function_call={"name": "f", "arguments": ""}), chunk(function_call={"arguments": "{}"})),
         [("f", "{}")]),
    ],
)  # fmt: skip
def test_tool_calls_of_a_stream_are_joined_as_they_belong(pieces: tuple[bytes, ...], calls: list[Any]) -> None:
    found = streamed(*pieces, chunk("tool_calls"))

    assert [(call["function"]["name"], call["function"]["arguments"]) for call in found.tool_calls] == calls


@pytest.mark.parametrize(
    "failed",
    [
        event(error={"message": "boom", "type": "overloaded"}),
        event(error="boom"),
        event(object="error", message="boom", type="overloaded"),
        b'event: error\ndata: {"message": "boom", "type": "overloaded"}\n\n',
        b"data: boom\n\n",
    ],
)
def test_an_error_in_the_middle_of_a_stream_keeps_its_words(failed: bytes) -> None:
    with pytest.raises(errors.BadAnswer) as caught:
        streamed(HI, failed, END, DONE)

    assert caught.value.detail == "boom"
    assert "boom" not in caught.value.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}, ("overloaded_error", "Busy")),
        ([{"error": {"code": 400, "message": "Bad key", "status": "INVALID_ARGUMENT"}}], ("", "Bad key")),
        ({"error": "Busy", "error_type": "overloaded"}, ("overloaded", "Busy")),
        ({"detail": "Not found"}, ("", "Not found")),
        ({"detail": [{"loc": ["body"], "msg": "missing"}]}, ("", '[{"loc": ["body"], "msg": "missing"}]')),
        ({"__type": "ThrottlingException", "Message": "Slow down"}, ("ThrottlingException", "Slow down")),
        ({"success": False, "errors": [{"code": 7003, "message": "No route"}]}, ("", "No route")),
        ({"object": "error", "message": "No such model", "type": "NotFound", "code": 40401},
         ("NotFound", "No such model")),
        ("No", ("", "No")),
        (None, ("", "")),
        ([], ("", "[]")),
    ],
)  # fmt: skip
def test_errors_of_other_providers_keep_their_code_and_words(body: Any, said: tuple[str, str]) -> None:
    assert errors.told(json.dumps(body).encode()) == said


def test_what_is_nested_without_end_is_a_bad_answer_and_no_crash() -> None:
    assert errors.told(DEEP)[0] == ""
    for raw in (DEEP, b'{"x":' + DEEP + b"]" * len(DEEP) + b',"choices":[]}'):
        with pytest.raises(errors.BadAnswer):
            replies.read(raw)
        with pytest.raises(errors.BadAnswer):
            streamed(b"data: " + raw + b"\n\n")


def test_a_stream_that_is_not_called_one_is_read_all_the_same() -> None:
    with serving(lambda h: h.send(HI + END + DONE, kind="text/plain")) as fake:
        assert ask(fake, request(stream=True)).text == "hi"


def test_packed_replies_are_read_whole_and_as_streams() -> None:
    packed = gzip.compress(HI + END + DONE)
    with serving(lambda h: h.send(packed, kind="text/event-stream", content_encoding="gzip")) as fake:
        assert ask(fake, request(stream=True)).text == "hi"
    whole = gzip.compress(json.dumps(completion("hi")).encode())
    with serving(lambda h: h.send(whole, content_encoding="gzip")) as fake:
        assert ask(fake).text == "hi"


def test_an_error_whose_body_cannot_be_unpacked_keeps_its_status() -> None:
    error, fake = failure(lambda h: h.send(b"no gzip", status=400, content_encoding="gzip"))

    assert (type(error), error.upstream_status, len(fake.asked)) == (errors.Rejected, 400, 1)
