"""What the bodies of a chat call tell: the question, the answer, the tokens, and whether they are whole.

Bodies stay text; only the parts that a record needs are decoded. What JSON becomes is asked for as `dict`: to ask for a
`Mapping` takes ten times as long, and it is asked eight times a row.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ingestion.formats import fields
from ingestion.values import Usage

PREVIEW_CHARACTERS = 640
MODEL_LIMIT = 120
FINISH_LIMIT = 30
_IMAGE = re.compile(rb'"type"\s*:\s*"(?:image_url|image|input_image)"')


class _Message(msgspec.Struct):
    role: Any = None
    content: msgspec.Raw = fields.NO_RAW
    tool_calls: msgspec.Raw = fields.NO_RAW


# made once: to look up what reads a list of something takes longer than reading one
_decode_messages = msgspec.json.Decoder(list[_Message]).decode


class _Request(msgspec.Struct):
    model: Any = None
    messages: msgspec.Raw = fields.NO_RAW
    input: msgspec.Raw = fields.NO_RAW
    prompt: msgspec.Raw = fields.NO_RAW
    system: msgspec.Raw = fields.NO_RAW
    stream: Any = None
    tools: msgspec.Raw = fields.NO_RAW
    functions: msgspec.Raw = fields.NO_RAW
    response_format: msgspec.Raw = fields.NO_RAW


class Request(msgspec.Struct, frozen=True):
    """What a request body tells. `is_chat`: it has the messages of a chat completion; `whole`: its JSON is complete.

    `messages` counts them, `tool_calls` those that they hold.
    """

    text: str
    model: str
    question: str
    is_chat: bool
    whole: bool
    uses_tools: bool
    uses_json: bool
    has_images: bool
    streamed: bool
    messages: int = 0
    tool_calls: int = 0


class Answer(msgspec.Struct, frozen=True):
    """What a response body tells. `text` None: there is no answer in it. `tool_calls` are in chat form."""

    text: str | None
    tool_calls: tuple[Mapping[str, Any], ...]
    finish_reason: str
    model: str
    refusal: str | None
    usage: Usage
    streamed: bool
    error: bool

    @property
    def given(self) -> bool:
        """Whether the model said or called anything."""
        return self.text is not None or bool(self.tool_calls)


NOTHING = Answer(None, (), "", "", None, Usage(None, None), streamed=False, error=False)


def read_request(raw: msgspec.Raw) -> Request:
    """Read a request body: an object, or an object written as a text.

    Raises:
        Unreadable: its model is no text.
    """
    text = fields.json_text(raw)
    whole = True
    if text.startswith('"'):
        inner = fields.plain(raw)
        text = inner.strip() if isinstance(inner, str) else ""
        whole = not text or isinstance(fields.plain(msgspec.Raw(text.encode(errors="replace"))), dict)
        text = text if whole else fields.json_text(raw)
    try:
        body = msgspec.json.decode(text, type=_Request) if whole and text.startswith("{") else _Request()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        body, whole = _Request(), False
    messages = _messages(body.messages)
    return Request(
        text=text,
        model=fields.text(body.model, "request.model", limit=MODEL_LIMIT),
        question=_question(messages, body),
        is_chat=bool(messages) and not bytes(body.system) and not bytes(body.input),
        whole=whole,
        uses_tools=_filled(body.tools) or _filled(body.functions),
        uses_json=b'"json' in bytes(body.response_format),
        has_images=holds_image(body.messages if bytes(body.messages) else body.input),
        streamed=body.stream is True,
        messages=len(messages),
        tool_calls=sum(length(message.tool_calls) for message in messages if bytes(message.tool_calls)),
    )


def holds_image(raw: msgspec.Raw) -> bool:
    """Whether messages in raw JSON hold an image part."""
    return bool(_IMAGE.search(raw))


def length(raw: msgspec.Raw) -> int:
    """How many values a raw JSON list holds; 0 where it is none."""
    try:
        return len(msgspec.json.decode(raw, type=list[msgspec.Raw])) if bytes(raw) else 0
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0


def _messages(raw: msgspec.Raw) -> list[_Message]:
    try:
        return _decode_messages(raw) if bytes(raw) else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def _filled(raw: msgspec.Raw) -> bool:
    return bytes(raw).strip() not in (b"", b"null", b"[]", b"{}")


def _question(messages: Sequence[_Message], body: _Request) -> str:
    """The text of the last user message; else what stands for it on other endpoints."""
    for message in reversed(messages):
        if message.role == "user":
            return spoken(fields.plain(message.content)) or ""
    found = fields.plain(body.input) or fields.plain(body.prompt)
    if isinstance(found, list) and found and isinstance(found[-1], dict):
        found = found[-1].get("content")
    return spoken(found) or ""


def preview(question: str) -> str:
    """The start of a question on one line, longer than what is kept: privacy must see words whole."""
    line = " ".join(fields.storable(question[: 2 * PREVIEW_CHARACTERS]).split())
    if len(line) < PREVIEW_CHARACTERS:
        return line
    return line[:PREVIEW_CHARACTERS].rpartition(" ")[0] or line[:PREVIEW_CHARACTERS]


def spoken(content: Any) -> str | None:
    """The text of a message's content: a text, or the text parts of a list. None where there is neither."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [
        part["text"]
        for part in content
        if isinstance(part, dict) and isinstance(part.get("text"), str) and "text" in str(part.get("type", "text"))
    ]
    return "".join(texts) if texts else None


def answer_of(response: str) -> Answer:
    """Read a stored response body: chat completion, Responses, Anthropic, chunks, an event stream, or plain text."""
    return read_answer(msgspec.Raw(fields.storable_json(response.encode()))) if response else NOTHING


def read_answer(raw: msgspec.Raw) -> Answer:
    """The same for a body as it came; what cannot be understood holds no answer."""
    found = fields.plain(raw)
    if isinstance(found, str):
        found = _written(found)
    if isinstance(found, list):
        return _from_chunks([chunk for chunk in found if isinstance(chunk, dict)])
    if isinstance(found, str):
        return _answer(found) if found.strip() else NOTHING
    return _from_object(found) if isinstance(found, dict) else NOTHING


def _written(found: str) -> Any:
    """A body written as a text: JSON, an event stream, or the answer itself."""
    plain = found.lstrip()
    if plain.startswith(("{", "[")):
        inner = fields.plain(msgspec.Raw(plain.encode(errors="replace")))
        return found if inner is None else inner
    if plain.startswith("data:"):
        lines = [line[5:].strip() for line in plain.splitlines() if line.startswith("data:")]
        return [fields.plain(msgspec.Raw(line.encode(errors="replace"))) for line in lines if line != "[DONE]"]
    return found


def _from_object(body: Mapping[str, Any]) -> Answer:
    if body.get("object") == "chat.completion.chunk":
        return _from_chunks([body])
    if isinstance(body.get("choices"), list):
        return _from_choices(body)
    if isinstance(body.get("output"), list):
        return _from_output(body)
    if isinstance(body.get("content"), list):
        return _from_blocks(body)
    return _answer(None, body=body, error=body.get("error") is not None)


def _from_choices(body: Mapping[str, Any]) -> Answer:
    choice = next((x for x in body["choices"] if isinstance(x, dict)), {})
    message = choice.get("message")
    if not isinstance(message, dict):
        return _answer(choice.get("text"), body=body, finish=choice.get("finish_reason"))
    calls = message.get("tool_calls")
    if not calls and isinstance(message.get("function_call"), dict):
        calls = [{"type": "function", "function": message["function_call"]}]
    said, finish = spoken(message.get("content")), choice.get("finish_reason")
    return _answer(said, body=body, calls=calls, finish=finish, refusal=message.get("refusal"))


def _from_output(body: Mapping[str, Any]) -> Answer:
    items = [item for item in body["output"] if isinstance(item, dict)]
    texts = [spoken(item.get("content")) for item in items if item.get("type") == "message"]
    calls = [
        _call(item.get("call_id"), item.get("name"), item.get("arguments"))
        for item in items
        if item.get("type") == "function_call"
    ]
    heard = [x for x in texts if x is not None]
    return _answer("".join(heard) if heard else None, body=body, calls=calls, finish=body.get("status"))


def _from_blocks(body: Mapping[str, Any]) -> Answer:
    blocks = [block for block in body["content"] if isinstance(block, dict)]
    calls = [
        _call(block.get("id"), block.get("name"), msgspec.json.encode(block.get("input")).decode())
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    return _answer(spoken(blocks), body=body, calls=calls, finish=body.get("stop_reason"))


def _call(call_id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _from_chunks(chunks: Sequence[Mapping[str, Any]]) -> Answer:
    """Join the deltas of a streamed answer; tool calls by their index, usage from the last chunk that has it."""
    texts: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    last: dict[str, Any] = {}
    finish = ""
    for chunk in chunks:
        last = {**last, **{key: chunk[key] for key in ("usage", "model", "error") if chunk.get(key)}}
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        finish = choice.get("finish_reason") or finish
        delta = choice.get("delta")
        if isinstance(delta, dict):
            texts += [delta["content"]] if isinstance(delta.get("content"), str) else []
            _join_calls(calls, delta.get("tool_calls"))
    joined = [calls[index] for index in sorted(calls)]
    text = "".join(texts) if any(texts) else None
    return _answer(text, body=last, calls=joined, finish=finish, streamed=True, error="error" in last)


def _join_calls(calls: dict[int, dict[str, Any]], pieces: Any) -> None:
    for piece in pieces if isinstance(pieces, list) else []:
        index = piece.get("index") if isinstance(piece, dict) else None
        if not isinstance(index, int):
            continue
        call = calls.setdefault(index, _call("", "", ""))
        call["id"] = piece.get("id") or call["id"]
        function = piece.get("function")
        for key in ("name", "arguments"):
            if isinstance(function, dict) and isinstance(function.get(key), str):
                call["function"][key] += function[key]


def _answer(
    said: Any,
    *,
    body: Mapping[str, Any] | None = None,
    calls: Any = (),
    finish: Any = "",
    refusal: Any = None,
    streamed: bool = False,
    error: bool = False,
) -> Answer:
    body = body or {}
    declined = refusal if isinstance(refusal, str) and refusal else None
    text = said if isinstance(said, str) and said else declined
    return Answer(
        text=text,
        tool_calls=tuple(call for call in calls if isinstance(call, dict)) if isinstance(calls, list) else (),
        finish_reason=fields.storable(finish)[:FINISH_LIMIT] if isinstance(finish, str) else "",
        model=fields.storable(body["model"])[:MODEL_LIMIT] if isinstance(body.get("model"), str) else "",
        refusal=declined,
        usage=usage_of(body.get("usage")),
        streamed=streamed,
        error=error,
    )


def usage_of(found: Any) -> Usage:
    """Tokens in the spellings of OpenAI (chat and Responses) and Anthropic, whose input leaves cached tokens out.

    Raises:
        Unreadable: a count is negative or no number.
    """
    if not isinstance(found, dict):
        return Usage(None, None)
    read = fields.tokens(found.get("cache_read_input_tokens"), "usage.cache_read_input_tokens")
    written = fields.tokens(found.get("cache_creation_input_tokens"), "usage.cache_creation_input_tokens")
    chat = fields.tokens(found.get("prompt_tokens"), "usage.prompt_tokens")
    given = chat if chat is not None else fields.tokens(found.get("input_tokens"), "usage.input_tokens")
    if chat is None and given is not None:
        given += (read or 0) + (written or 0)
    said = fields.tokens(found.get("completion_tokens", found.get("output_tokens")), "usage.completion_tokens")
    details = found.get("prompt_tokens_details", found.get("input_tokens_details"))
    if isinstance(details, dict):
        read = fields.tokens(details.get("cached_tokens"), "usage.cached_tokens")
        if written is None:
            found_written = details.get("cache_write_tokens", details.get("cache_creation_tokens"))
            written = fields.tokens(found_written, "usage.cache_write_tokens")
    of_answer = found.get("completion_tokens_details", found.get("output_tokens_details"))
    thought = of_answer.get("reasoning_tokens") if isinstance(of_answer, dict) else None
    reasoning = fields.tokens(thought, "usage.reasoning_tokens")
    return Usage(given, said, at_most(read, given), at_most(written, given), at_most(reasoning, said))


def at_most(part: int | None, whole: int | None) -> int | None:
    """A part of a count, never more than the whole where that is known."""
    return part if part is None or whole is None else min(part, whole)
