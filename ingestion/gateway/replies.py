"""Bytes of a chat completion, whole or streamed, to what was answered; no field is trusted to be there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ingestion.formats.fields import storable_json
from ingestion.gateway.base import Usage
from ingestion.gateway.errors import BadAnswer, told

NO_USAGE = Usage(None, None, None)
FILTER_CODES = ("content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation")
"""Codes by which a provider says that its filter declined for the model."""


@dataclass(frozen=True)
class Answer:
    """What a reply says, before anything is known about its timing."""

    text: str
    tool_calls: tuple[Mapping[str, Any], ...]
    finish_reason: str
    model: str
    refusal: str | None
    usage: Usage


# Only what an answer cannot do without is typed: an odd field of no weight must not cost the answer that was paid for.
class _Message(msgspec.Struct):
    content: Any = None
    tool_calls: Any = None
    function_call: Any = None  # as tool calls were called before there were several
    refusal: Any = None


class _Choice(msgspec.Struct):
    message: _Message | None = None  # absent where a filter took the answer away
    finish_reason: Any = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    model: Any = None
    usage: Any = None


class _ChunkChoice(msgspec.Struct):
    index: Any = 0
    delta: _Message | None = None
    message: _Message | None = None  # of who streams a whole answer
    finish_reason: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_ChunkChoice] | None = None
    model: Any = None
    usage: Any = None
    error: Any = None
    object: Any = None


_completion = msgspec.json.Decoder(_Completion)
_chunk = msgspec.json.Decoder(_Chunk)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_BOM = b"\xef\xbb\xbf"
_STREAM_BEGINS = (b"data:", b"event:", b": ")


def read(raw: bytes) -> Answer:
    """Read a whole completion, or a stream that came under another type of content.

    Raises:
        BadAnswer: it is none: empty, HTML, without choices, an error under a 200.
    """
    raw = raw.removeprefix(_BOM)
    try:
        found = _completion.decode(storable_json(raw))
    except _UNREADABLE:
        if raw.lstrip().startswith(_STREAM_BEGINS):
            stream = Stream()
            stream.feed(raw)
            return stream.answer()
        raise not_a_completion(raw) from None
    if not found.choices:
        raise not_a_completion(raw)
    choice = found.choices[0]
    if choice.message is None and choice.finish_reason != "content_filter":
        raise not_a_completion(raw)
    message = choice.message or _Message()
    return Answer(
        text=_text(message.content),
        tool_calls=tuple(_calls(message)),
        finish_reason=_word(choice.finish_reason),
        model=_word(found.model),
        refusal=_word(message.refusal) or None,
        usage=_usage(found.usage),
    )


def not_a_completion(raw: bytes) -> BadAnswer:
    """The error for a 200 whose body is something else; its words stay out of the text."""
    provider_code, detail = told(raw)
    kind = "HTML" if raw.lstrip()[:1] == b"<" else "something that is no chat completion" if raw.strip() else "nothing"
    if provider_code:
        kind = f"an error ({provider_code})"
    error = BadAnswer(
        f"The gateway answered 200 with {kind}.", upstream_status=200, provider_code=provider_code, detail=detail
    )
    error.retryable = provider_code not in FILTER_CODES  # a filter would say the same again
    return error


@dataclass
class Stream:
    """Collects a streamed completion from its bytes, however they are cut."""

    started: bool = False  # whether anything of the answer itself has come
    done: bool = False
    _rest: bytes = b""
    _event: list[bytes] = field(default_factory=list)
    _kind: bytes = b""
    _events: int = 0
    _stray: list[bytes] = field(default_factory=list)  # what is no event stream, where none has begun
    _text: list[str] = field(default_factory=list)
    _refusal: list[str] = field(default_factory=list)
    _tool_calls: list[dict[str, Any]] = field(default_factory=list)
    _at: dict[int, dict[str, Any]] = field(default_factory=dict)
    _last: int = 0
    _finish_reason: str = ""
    _model: str = ""
    _usage: Usage = NO_USAGE

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            BadAnswer: an event is no completion chunk, or says that the provider failed on the way.
        """
        # a \r may be the first half of a \r\n that is cut in the middle, and is dropped with its line
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line.rstrip(b"\r"))

    def answer(self) -> Answer:
        """Return what came.

        Raises:
            BadAnswer: the stream ended before the answer did.
        """
        for line in (*self._rest.splitlines(), b""):  # where lines end with \r alone, all of them are still here
            self._line(line)
        if not self._events and self._stray:
            return read(b"\n".join(self._stray))  # it only called itself a stream
        if not self.done and not self._finish_reason:
            raise BadAnswer("The stream ended before the answer did.", upstream_status=200)
        return Answer(
            text="".join(self._text),
            tool_calls=tuple(self._tool_calls),
            finish_reason=self._finish_reason,
            model=self._model,
            refusal="".join(self._refusal) or None,
            usage=self._usage,
        )

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._event.append(line[5:].removeprefix(b" "))
        elif not line:
            self._dispatch()
        elif line.startswith(b"event:"):
            self._kind = line[6:].strip()
        elif line.startswith(_BOM):
            self._line(line.removeprefix(_BOM))
        elif not self._events and not line.startswith((b":", b"id:", b"retry:")):
            self._stray.append(line)

    def _dispatch(self) -> None:
        parts, self._event = self._event, []
        kind, self._kind = self._kind, b""
        if len(parts) > 1 and not _is_json(b"\n".join(parts)):
            for part in parts:  # who ends events with one line break sends several at once
                self._take(part, kind)
        elif parts:
            self._take(b"\n".join(parts), kind)

    def _take(self, event: bytes, kind: bytes) -> None:
        if self.done or not event.strip():
            return
        self._events += 1
        if event.strip() == b"[DONE]":
            self.done = True
            return
        try:
            chunk = _chunk.decode(storable_json(event))
        except _UNREADABLE:
            raise _broken("The stream holds an event that is no completion chunk.", event) from None
        if chunk.error or chunk.object == "error" or kind == b"error":
            raise _broken("The provider failed in the middle of the stream.", event)
        self._model = _word(chunk.model) or self._model
        self._usage = _usage(chunk.usage) if chunk.usage else self._usage
        for choice in chunk.choices or ():
            if not choice.index:  # of several answers (n > 1) the first counts, as in a whole completion
                self._finish_reason = _word(choice.finish_reason) or self._finish_reason
                self._add(choice.delta or choice.message or _Message())

    def _add(self, delta: _Message) -> None:
        text, refusal, calls = _text(delta.content), _word(delta.refusal), _calls(delta)
        if text or refusal or calls:
            self.started = True
        self._text.append(text)
        self._refusal.append(refusal)
        for part in calls:
            _join(self._call(part), part)

    def _call(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """The call that a piece belongs to: by its index, by its id where indexes repeat or lack, else the last one."""
        index, given = part.get("index"), part.get("id")
        place = index if isinstance(index, int) else self._last
        call = self._at.get(place)
        if call is not None and given and call.get("id"):
            is_new = given != call["id"]
        else:
            # without index and id, who names a function begins a call
            is_new = call is None or (index is None and not given and _names(part) and _names(call))
        if call is None or is_new:
            call = {}
            self._tool_calls.append(call)
        self._at[place], self._last = call, place
        return call


def _broken(text: str, event: bytes) -> BadAnswer:
    provider_code, detail = told(event)
    return BadAnswer(text, upstream_status=200, provider_code=provider_code, detail=detail)


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except _UNREADABLE:
        return False
    return True


def _names(call: Mapping[str, Any]) -> bool:
    function = call.get("function")
    return isinstance(function, Mapping) and bool(function.get("name"))


def _join(call: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add a piece of a tool call to what came before: arguments and names grow, ids and types are said once."""
    for key, value in part.items():
        if key == "index" or value is None:
            continue
        if isinstance(value, Mapping):
            inner = call.get(key)
            if not isinstance(inner, dict):
                inner = call[key] = {}
            for name, piece in value.items():
                before = inner.get(name)
                if not before:
                    inner[name] = piece
                elif isinstance(before, str) and isinstance(piece, str) and (name != "name" or piece != before):
                    inner[name] = before + piece  # a name that is said again in whole stays
        elif not call.get(key):
            call[key] = value


def _calls(message: _Message) -> list[dict[str, Any]]:
    """Its tool calls, in the old form too; what is none is passed over."""
    found = message.tool_calls
    if not found and isinstance(message.function_call, dict):
        return [{"type": "function", "function": message.function_call}]
    return [call for call in found if isinstance(call, dict)] if isinstance(found, list) else []


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _text(content: Any) -> str:
    """Content as text: a string, or the texts of content parts; anything else is no text."""
    if isinstance(content, str):
        return content
    return "".join(_parts(content)) if isinstance(content, list) else ""


def _parts(content: list[Any]) -> Iterator[str]:
    for part in content:
        if isinstance(part, dict) and part.get("type") in ("text", "output_text") and isinstance(part.get("text"), str):
            yield part["text"]


def _usage(usage: Any) -> Usage:
    """Tokens as OpenAI (chat and Responses), DeepSeek and Anthropic spell them, whose input leaves cached ones out."""
    if not isinstance(usage, Mapping) or not usage:
        return NO_USAGE
    asked, answered = (_details(usage, *names) for names in (("prompt", "input"), ("completion", "output")))
    cached = _first(
        asked.get("cached_tokens"), usage.get("cache_read_input_tokens"), usage.get("prompt_cache_hit_tokens")
    )
    written = _first(
        usage.get("cache_creation_input_tokens"), asked.get("cache_write_tokens"), asked.get("cache_creation_tokens")
    )
    given = _count(usage.get("prompt_tokens"))
    if given is None and (given := _count(usage.get("input_tokens"))) is not None:
        given += sum(_count(usage.get(f"cache_{kind}_input_tokens")) or 0 for kind in ("read", "creation"))
    return Usage(
        input_tokens=given,
        output_tokens=_first(usage.get("completion_tokens"), usage.get("output_tokens")),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=_count(answered.get("reasoning_tokens")),
    )


def _first(*values: Any) -> int | None:
    return next((count for value in values if (count := _count(value)) is not None), None)


def _details(usage: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    found = (usage.get(f"{name}_tokens_details") for name in names)
    return next((one for one in found if isinstance(one, Mapping)), {})


def _count(value: Any) -> int | None:
    """A count of tokens, which some providers send as a float; None for anything that is none."""
    is_count = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**31
    return int(value) if is_count else None
