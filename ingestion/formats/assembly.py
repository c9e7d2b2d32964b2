"""Bodies put together where a source stores their parts apart; the parts themselves stay as they came."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ingestion.formats import fields

PARAMETERS = frozenset(
    {
        "temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "n", "stop", "seed", "presence_penalty",
        "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "response_format", "tools", "tool_choice",
        "parallel_tool_calls", "functions", "function_call", "stream", "stream_options", "reasoning_effort",
        "verbosity", "modalities", "prediction", "service_tier",
    }
)  # fmt: skip
"""What of a source's parameters belongs to a chat request; others may hold keys of a provider."""
_BODIES = ("choices", "output", "error")
_MESSAGES = ("role", "content", "tool_calls")


def request(given: msgspec.Raw, *, model: str, parameters: Mapping[str, Any]) -> msgspec.Raw:
    """A request body out of its input: messages, an object that holds them, or the prompt as a text."""
    found = inner(given)
    if not fields.json_text(found) or fields.json_text(found) in ("{}", "[]"):
        return fields.NO_RAW
    start = bytes(found)[:1]
    parts: dict[str, msgspec.Raw] = {"model": encoded(model)} if model else {}
    parts |= {name: encoded(value) for name, value in parameters.items() if name in PARAMETERS and value is not None}
    if start == b"{":
        held = _object(found)
        return _joined({**parts, **held}) if "messages" in held else _joined({**held, **parts})
    if start == b"[":
        return _joined({**parts, "messages" if _are_messages(found) else "input": found})
    return _joined({**parts, "messages": msgspec.Raw(b'[{"role":"user","content":' + bytes(_text(found)) + b"}]")})


def response(given: msgspec.Raw) -> msgspec.Raw:
    """A response body out of an answer: a body as it is, a message, the last of several, a text, or parsed JSON."""
    found = inner(given)
    text = fields.json_text(found)
    if text in ("", "{}", "[]"):
        return fields.NO_RAW
    if text.startswith("["):
        entries = _list(found)
        last = entries[-1] if entries else fields.NO_RAW
        return (
            _answer(last, text) if "role" in _object(last) else found if "choices" in _object(last) else _spoken(text)
        )
    return _answer(found, text) if text.startswith("{") else found


def _answer(found: msgspec.Raw, text: str) -> msgspec.Raw:
    held = _object(found)
    if any(name in held for name in _BODIES):
        return found
    is_list = bytes(held.get("content", fields.NO_RAW))[:1] == b"["
    if is_list and ("role" not in held or bytes(held.get("type", fields.NO_RAW)) == b'"message"'):
        return found  # Anthropic's body
    return _message(found) if any(name in held for name in _MESSAGES) else _spoken(text)


def error(message: str) -> msgspec.Raw:
    """A body that tells of a failure."""
    return encoded({"error": {"message": message}})


def inner(given: msgspec.Raw) -> msgspec.Raw:
    """What a JSON text holds, where it is an object or a list; else the value itself."""
    if bytes(given).lstrip()[:1] != b'"':
        return msgspec.Raw(bytes(given).strip())
    found = fields.plain(given)
    text = found.strip() if isinstance(found, str) else ""
    if text.startswith(("{", "[")):
        raw = msgspec.Raw(text.encode(errors="replace"))
        if fields.plain(raw) is not None:
            return raw
    return given


def _message(raw: msgspec.Raw) -> msgspec.Raw:
    return msgspec.Raw(b'{"choices":[{"message":' + bytes(raw) + b"}]}")


def _spoken(text: str) -> msgspec.Raw:
    """An answer that was stored parsed: the model wrote it as text."""
    return _message(encoded({"role": "assistant", "content": text}))


def _text(raw: msgspec.Raw) -> msgspec.Raw:
    """Numbers and switches as the text they would have been."""
    return raw if bytes(raw)[:1] == b'"' else encoded(bytes(raw).decode())


def _are_messages(raw: msgspec.Raw) -> bool:
    entries = _list(raw)
    return bool(entries) and "role" in _object(entries[-1])


def _object(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _list(raw: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def encoded(value: Any) -> msgspec.Raw:
    """A Python value as raw JSON."""
    try:
        return msgspec.Raw(msgspec.json.encode(value))
    except UnicodeEncodeError:  # half a surrogate pair, which JSON's escapes can spell
        return msgspec.Raw(msgspec.json.encode(fields.storable(value) if isinstance(value, str) else None))


def _joined(parts: Mapping[str, msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(b"{" + b",".join(bytes(encoded(name)) + b":" + bytes(raw) for name, raw in parts.items()) + b"}")
