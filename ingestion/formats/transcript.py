"""Transcripts: one conversation a line, its messages in chat form; each assistant message becomes one call.

Beside `messages`, where given: `message_meta` (per message an object, or a list of time, input tokens, output tokens
and cost in dollars), `tools`, an id, `agent_model` or `model`, and anything else, which becomes metadata.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from ingestion.formats import bodies, calls, fields
from ingestion.formats.bodies import MODEL_LIMIT
from ingestion.formats.calls import Told
from ingestion.values import RawRecord, Usage

MAX_REQUESTS_BYTES = 64 * 1024 * 1024
"""Every call repeats what came before it, so a long conversation grows by its square."""
IDS = ("trajectory_id", "conversation_id", "session_id", "trace_id", "simulation_id", "id")
MODELS = ("agent_model", "model")
TIMES = ("started_at", "created_at", "timestamp", "start_time")
_NOT_METADATA = {"messages", "message_meta", "tools", "metadata", "provider", *IDS, *MODELS}
_ID_LIMIT = calls.ID_LIMIT - 10  # leaves room for the number of the message


class _Message(msgspec.Struct):
    role: Any = None
    content: msgspec.Raw = fields.NO_RAW
    tool_calls: msgspec.Raw = fields.NO_RAW
    timestamp: Any = None
    usage: Any = None
    cost: Any = None
    cost_usd: Any = None


@dataclass(frozen=True)
class _Own:
    """What is told of one message alone."""

    at: Any = None
    usage: Usage = field(default_factory=lambda: Usage(None, None))
    cost_usd: Any = None


def read(line: bytes) -> tuple[RawRecord, ...]:
    """Read one conversation.

    Raises:
        Unreadable: with a code of `formats.fields` or no_messages, no_answer, no_model.
    """
    row = fields.decode(line, dict[str, msgspec.Raw])
    raws = _list(row, "messages")
    if not raws:
        raise fields.Unreadable("no_messages", "The row has no messages.")
    try:
        messages = [msgspec.json.decode(raw, type=_Message) for raw in raws]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise fields.Unreadable("wrong_type", "messages: expected objects with a role.") from None
    answers = [n for n, message in enumerate(messages) if message.role == "assistant"]
    if not answers:
        raise fields.Unreadable("no_answer", "The conversation has no assistant message.")
    if sum(len(raw) for raw in raws) * len(answers) > 2 * MAX_REQUESTS_BYTES:
        raise fields.Unreadable("too_long", "The conversation is too long to be taken apart into its calls.")
    return _calls(row, raws, messages, answers)


def _calls(
    row: Mapping[str, msgspec.Raw], raws: Sequence[msgspec.Raw], messages: Sequence[_Message], answers: Sequence[int]
) -> tuple[RawRecord, ...]:
    conversation = _told(row)
    own = _meta(row, len(messages))
    tools = row.get("tools", fields.NO_RAW)
    tools = tools if fields.json_text(tools).startswith("[") else fields.NO_RAW
    uses_tools = bool(bytes(tools)) or any(bytes(message.tool_calls) for message in messages)
    records, known, seen = [], 0, False
    for place, at in enumerate(answers):
        # what follows the last answer belongs to it, or it would be counted nowhere
        until = len(messages) if place + 1 == len(answers) else at + 1
        brought = messages[known:until]
        seen = seen or any(bodies.holds_image(raw) for raw in raws[known:at])
        request = bodies.Request(
            text=_request_text(conversation.model, raws[:at], tools),
            model="",
            question=_question(messages[:at]),
            is_chat=at > 0,
            whole=True,
            uses_tools=uses_tools,
            uses_json=False,
            has_images=seen,
            streamed=False,
        )
        told = _of_message(conversation, messages[at], own[at], number=at)
        record = calls.join(told, request, msgspec.Raw(b'{"choices":[{"message":' + bytes(raws[at]) + b"}]}"))
        n_calls = sum(bodies.length(message.tool_calls) for message in brought)
        records.append(replace(record, messages=len(brought), tool_calls=n_calls))
        known = until
    return tuple(records)


def _told(row: Mapping[str, msgspec.Raw]) -> Told:
    """What is told of the whole conversation."""
    given = {name: fields.plain(raw) for name, raw in row.items() if name not in ("messages", "message_meta", "tools")}
    rest = {name: value for name, value in given.items() if name not in _NOT_METADATA}
    inner = given.get("metadata")
    found = next((name for name in TIMES if given.get(name) is not None), "")
    return Told(
        trace_key=_first(given, IDS, _ID_LIMIT),
        occurred_at=fields.moment(given.get(found), found),
        provider=fields.text(given.get("provider"), "provider", limit=calls.PROVIDER_LIMIT),
        model=_first(given, MODELS, MODEL_LIMIT),
        metadata=fields.metadata({**rest, **inner} if isinstance(inner, Mapping) else rest),
    )


def _of_message(conversation: Told, message: _Message, own: _Own, *, number: int) -> Told:
    inline = _Own(message.timestamp, bodies.usage_of(message.usage), _either(message.cost_usd, message.cost))
    usage = own.usage if own.usage.input_tokens is not None or own.usage.output_tokens is not None else inline.usage
    return replace(
        conversation,
        source_id=f"{conversation.trace_key}/{number}" if conversation.trace_key else "",
        occurred_at=fields.moment(_either(own.at, inline.at), "timestamp") or conversation.occurred_at,
        usage=usage,
        cost_nanousd=fields.cost_nanousd(_either(own.cost_usd, inline.cost_usd), "cost", cents=False),
    )


def _meta(row: Mapping[str, msgspec.Raw], n_messages: int) -> list[_Own]:
    """What `message_meta` tells of each message.

    Raises:
        Unreadable: it has another length than the messages, or a field of the wrong type.
    """
    found = [fields.plain(raw) for raw in _list(row, "message_meta")]
    if not found:
        return [_Own()] * n_messages
    if len(found) != n_messages:
        raise fields.Unreadable("wrong_type", "message_meta: expected one entry for each message.")
    return [_own(entry) for entry in found]


def _own(entry: Any) -> _Own:
    if isinstance(entry, list):
        at, given, said, cost = [*entry, None, None, None, None][:4]
    elif isinstance(entry, Mapping):
        usage = entry["usage"] if isinstance(entry.get("usage"), Mapping) else entry
        given = _either(usage.get("prompt_tokens"), usage.get("input_tokens"))
        said = _either(usage.get("completion_tokens"), usage.get("output_tokens"))
        at, cost = entry.get("timestamp"), _either(entry.get("cost_usd"), entry.get("cost"))
    else:
        return _Own()
    usage = Usage(fields.tokens(given, "prompt tokens"), fields.tokens(said, "completion tokens"))
    return _Own(at, usage, cost)


def _request_text(model: str, before: Sequence[msgspec.Raw], tools: msgspec.Raw) -> str:
    parts = [b'{"model":' + msgspec.json.encode(model)] if model else []
    parts.append((b"" if parts else b"{") + b'"messages":[' + b",".join(bytes(raw) for raw in before) + b"]")
    if bytes(tools):
        parts.append(b'"tools":' + bytes(tools))
    return (b",".join(parts) + b"}").decode()


def _question(before: Sequence[_Message]) -> str:
    for message in reversed(before):
        if message.role == "user":
            return bodies.spoken(fields.plain(message.content)) or ""
    return ""


def _list(row: Mapping[str, msgspec.Raw], name: str) -> list[msgspec.Raw]:
    raw = row.get(name, fields.NO_RAW)
    if not fields.json_text(raw):
        return []
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise fields.Unreadable("wrong_type", f"{name}: expected a list.") from None


def _first(given: Mapping[str, Any], names: Sequence[str], limit: int) -> str:
    return next((found for name in names if (found := fields.text(given.get(name), name, limit=limit))), "")


def _either(one: Any, other: Any) -> Any:
    return other if one is None else one
