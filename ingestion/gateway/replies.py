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


class _Message(msgspec.Struct):
    content: Any = None
    tool_calls: list[dict[str, Any]] | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None  # absent where a filter took the answer away
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: dict[str, Any] | None = None


class _Delta(msgspec.Struct):
    content: Any = None
    tool_calls: list[dict[str, Any]] | None = None
    refusal: str | None = None


class _ChunkChoice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_ChunkChoice] | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_completion = msgspec.json.Decoder(_Completion)
_chunk = msgspec.json.Decoder(_Chunk)


def read(raw: bytes) -> Answer:
    """Read a whole completion.

    Raises:
        BadAnswer: it is none: empty, HTML, without choices, an error under a 200.
    """
    try:
        found = _completion.decode(storable_json(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise not_a_completion(raw) from None
    if not found.choices:
        raise not_a_completion(raw)
    choice = found.choices[0]
    if choice.message is None and choice.finish_reason != "content_filter":
        raise not_a_completion(raw)
    message = choice.message or _Message()
    return Answer(
        text=_text(message.content),
        tool_calls=tuple(message.tool_calls or ()),
        finish_reason=choice.finish_reason or "",
        model=found.model or "",
        refusal=message.refusal,
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
    _text: list[str] = field(default_factory=list)
    _refusal: list[str] = field(default_factory=list)
    _tool_calls: dict[int, dict[str, Any]] = field(default_factory=dict)
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
        if not self.done and self._rest.strip():
            self._line(self._rest.rstrip(b"\r"))
            self._line(b"")
        if not self.done and not self._finish_reason:
            raise BadAnswer("The stream ended before the answer did.", upstream_status=200)
        return Answer(
            text="".join(self._text),
            tool_calls=tuple(self._tool_calls[index] for index in sorted(self._tool_calls)),
            finish_reason=self._finish_reason,
            model=self._model,
            refusal="".join(self._refusal) or None,
            usage=self._usage,
        )

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._event.append(line[5:].removeprefix(b" "))
        elif not line and self._event:
            event, self._event = b"\n".join(self._event), []
            if event.strip() == b"[DONE]":
                self.done = True
            elif not self.done:
                self._take(event)

    def _take(self, event: bytes) -> None:
        try:
            chunk = _chunk.decode(storable_json(event))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise BadAnswer("The stream holds an event that is no completion chunk.", upstream_status=200) from None
        if chunk.error:
            provider_code, detail = told(event)
            raise BadAnswer(
                "The provider failed in the middle of the stream.",
                upstream_status=200, provider_code=provider_code, detail=detail,
            )  # fmt: skip
        self._model = chunk.model or self._model
        self._usage = _usage(chunk.usage) if chunk.usage else self._usage
        for choice in chunk.choices or ():
            if choice.index == 0:  # of several answers (n > 1) the first counts, as in a whole completion
                self._finish_reason = choice.finish_reason or self._finish_reason
                self._add(choice.delta or _Delta())

    def _add(self, delta: _Delta) -> None:
        text = _text(delta.content)
        if text or delta.refusal or delta.tool_calls:
            self.started = True
        self._text.append(text)
        self._refusal.append(delta.refusal or "")
        for part in delta.tool_calls or ():
            index = part.get("index")
            call = self._tool_calls.setdefault(index if isinstance(index, int) else len(self._tool_calls), {})
            _join(call, part)


def _join(call: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Add a piece of a tool call to what came before: arguments and names grow, ids and types are said once."""
    for key, value in part.items():
        if key == "index" or value is None:
            continue
        if isinstance(value, Mapping):
            inner = call.setdefault(key, {})
            for name, piece in value.items():
                inner[name] = inner.get(name, "") + piece if isinstance(piece, str) else piece
        elif not call.get(key):
            call[key] = value


def _text(content: Any) -> str:
    """Content as text: a string, or the texts of content parts; anything else is no text."""
    if isinstance(content, str):
        return content
    return "".join(_parts(content)) if isinstance(content, list) else ""


def _parts(content: list[Any]) -> Iterator[str]:
    for part in content:
        if isinstance(part, dict) and part.get("type") in ("text", "output_text") and isinstance(part.get("text"), str):
            yield part["text"]


def _usage(usage: Mapping[str, Any] | None) -> Usage:
    if not usage:
        return NO_USAGE
    asked, answered = (_details(usage, side) for side in ("prompt", "completion"))
    written = (
        usage.get("cache_creation_input_tokens"),
        *map(asked.get, ("cache_write_tokens", "cache_creation_tokens")),
    )
    return Usage(
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_count(
            asked["cached_tokens"] if "cached_tokens" in asked else usage.get("cache_read_input_tokens")
        ),
        cache_write_tokens=next((tokens for one in written if (tokens := _count(one)) is not None), None),
        reasoning_tokens=_count(answered.get("reasoning_tokens")),
    )


def _details(usage: Mapping[str, Any], side: str) -> Mapping[str, Any]:
    found = usage.get(f"{side}_tokens_details")
    return found if isinstance(found, Mapping) else {}


def _count(value: Any) -> int | None:
    """A count of tokens, which some providers send as a float; None for anything that is none."""
    is_count = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**31
    return int(value) if is_count else None
