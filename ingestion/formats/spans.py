"""What the attributes and events of a model call's span say, in the form of a chat completion.

Three conventions in their spellings: OpenTelemetry GenAI (messages of parts, or events), OpenLLMetry (numbered
attributes) and OpenInference (numbered attributes, or the bodies as they were sent).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ingestion.formats import fields

INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens")
OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
          "llm.usage.completion_tokens")  # fmt: skip
CACHE_READ = ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
              "llm.token_count.prompt_details.cache_read", "llm.usage.cache_read_input_tokens")  # fmt: skip
CACHE_WRITE = (
    "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens", "llm.token_count.prompt_details.cache_write",
    "llm.usage.cache_creation_input_tokens",
)  # fmt: skip
REASONING = ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens",
             "llm.token_count.completion_details.reasoning", "llm.usage.reasoning_tokens")  # fmt: skip
_DETAILS = "gen_ai.client.inference.operation.details"
_PARAMETERS = {
    "temperature": ("gen_ai.request.temperature", "llm.request.temperature", "llm.temperature"),
    "top_p": ("gen_ai.request.top_p", "llm.request.top_p", "llm.top_p"),
    "top_k": ("gen_ai.request.top_k", "llm.top_k"),
    "max_tokens": ("gen_ai.request.max_tokens", "llm.request.max_tokens"),
    "stop": ("gen_ai.request.stop_sequences", "llm.chat.stop_sequences"),
    "seed": ("gen_ai.request.seed", "gen_ai.openai.request.seed"),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", "llm.frequency_penalty"),
    "presence_penalty": ("gen_ai.request.presence_penalty", "llm.presence_penalty"),
    "n": ("gen_ai.request.choice.count",),
    "reasoning_effort": ("gen_ai.request.reasoning.level", "gen_ai.request.reasoning_effort"),
}
_STREAMED = ("gen_ai.request.stream", "gen_ai.request.is_stream", "gen_ai.is_streaming", "llm.is_streaming")
_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool"}
_FINISHES = {"tool_call": "tool_calls", "max_tokens": "length", "end_turn": "stop", "tool_use": "tool_calls"}
_LEVELS = 10


@dataclass(frozen=True)
class Event:
    """An event of a span; `at` in nanoseconds since 1970."""

    name: str
    attributes: Mapping[str, Any]
    at: int = 0


@dataclass(frozen=True)
class Spoken:
    """Both bodies in chat form, empty where not told. `obstacle`: what of the request is known to be missing."""

    request: msgspec.Raw
    response: msgspec.Raw
    obstacle: str
    uses_tools: bool
    streamed: bool


class _Broken(Exception):
    """Messages that are no JSON: cut by a limit on the length of attributes."""


# ------------------------------------------------------------------------------------------------ single values
def first(attributes: Mapping[str, Any], *names: str) -> Any:
    """The first attribute of these names that tells anything."""
    for name in names:  # asked thirty times a span: a loop takes half the time of a generator
        found = attributes.get(name)
        if found is not None and found != "":
            return found
    return None


def listed(found: Any) -> list[Any]:
    """A list, also where it was written as JSON text."""
    found = opened(found)
    return found if isinstance(found, list) else []


def opened(found: Any) -> Any:
    """An object or a list out of its JSON text; anything else as it is."""
    if isinstance(found, str) and found.lstrip().startswith(("{", "[")):
        inner = fields.plain(msgspec.Raw(found.encode(errors="replace")))
        return found if inner is None else inner
    return found


def finish_reason(found: Any) -> str:
    """In the words of chat completions."""
    return _FINISHES.get(found, found) if isinstance(found, str) else ""


def with_details(attributes: dict[str, Any], events: Iterable[Event]) -> dict[str, Any]:
    """The span's attributes, and those of the event that carries the same ones apart."""
    for event in events:
        if event.name == _DETAILS:
            attributes = {**attributes, **event.attributes}
    return attributes


def numbered(attributes: Mapping[str, Any], prefix: str) -> list[Any]:
    """`prefix.0.role`, `prefix.1.parts.0.text` … as the nested lists and objects they stand for."""
    tree: dict[str, Any] = {}
    for name, found in attributes.items():
        if not name.startswith(prefix + "."):
            continue
        *path, last = name[len(prefix) + 1 :].split(".", _LEVELS)
        node = tree
        for step in path:
            inner = node.setdefault(step, {})
            if not isinstance(inner, dict):
                inner = node[step] = {}
            node = inner
        node.setdefault(last, found)
    nested = _nested(tree)
    return nested if isinstance(nested, list) else []


def _nested(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(key.isascii() and key.isdigit() and len(key) < 8 for key in node):
        return [_nested(node[key]) for key in sorted(node, key=int)]
    return {key: _nested(inner) for key, inner in node.items()}


# ------------------------------------------------------------------------------------------------ bodies
def rebuild(attributes: Mapping[str, Any], events: Sequence[Event], *, dropped: bool) -> Spoken:
    """The request and the answer as a chat completion would have them.

    Args:
        dropped: the sender left out attributes or events, so numbered messages may lack some.
    """
    writer = _Writer()
    try:
        answer = _answer(attributes, events, writer)
        response = msgspec.Raw(_encoded(answer)) if answer else msgspec.Raw()
    except _Broken:
        response = msgspec.Raw(_encoded(str(attributes.get("gen_ai.output.messages"))))
        writer.obstacle = "truncated"
    try:
        asked = _request(attributes, events, writer)
        request = msgspec.Raw(_encoded(asked)) if asked else msgspec.Raw()
    except _Broken:
        asked = {}
        request = msgspec.Raw(_encoded(str(attributes.get("gen_ai.input.messages"))))
        writer.obstacle = "truncated"
    if dropped or (writer.calls_tools and not asked.get("tools")):
        writer.obstacle = writer.obstacle or "truncated"
    if str(first(attributes, "gen_ai.operation.name", "llm.request.type")) in ("text_completion", "completion"):
        writer.obstacle = writer.obstacle or "not_chat"
    streamed = any(fields.switch(attributes.get(name)) for name in _STREAMED)
    streamed = streamed or attributes.get("gen_ai.response.time_to_first_chunk") is not None
    return Spoken(request, response, writer.obstacle, writer.calls_tools, streamed or asked.get("stream") is True)


def _request(attributes: Mapping[str, Any], events: Sequence[Event], writer: "_Writer") -> dict[str, Any]:
    sent = opened(attributes.get("input.value"))
    if _is_chat(sent):
        writer.calls_tools |= any("tool_calls" in message for message in sent["messages"])
        return dict(sent)
    messages = _asked(attributes, events, writer)
    if not messages and isinstance(sent, dict):
        return sent  # what a framework was given; kept as it is, and no chat request
    if not messages and isinstance(sent, str) and sent:
        messages = [{"role": "user", "content": sent}]
    if not messages:
        return {}
    model = first(attributes, "gen_ai.request.model", "llm.request.model_name", "llm.request.model", "llm.model_name")
    tools = _tools(attributes)
    asked = {"model": model, "messages": messages, **_parameters(attributes), **({"tools": tools} if tools else {})}
    return {name: found for name, found in asked.items() if found is not None}


def _is_chat(found: Any) -> bool:
    messages = found.get("messages") if isinstance(found, dict) else None
    return (
        isinstance(messages, list)
        and bool(messages)
        and all(isinstance(one, dict) and isinstance(one.get("role"), str) for one in messages)
    )


def _asked(attributes: Mapping[str, Any], events: Sequence[Event], writer: "_Writer") -> list[dict[str, Any]]:
    told = _structured(attributes.get("gen_ai.input.messages"))
    rules = _structured(attributes.get("gen_ai.system_instructions"))
    found = (
        told
        or numbered(attributes, "gen_ai.prompt")
        or numbered(attributes, "llm.prompts")
        or numbered(attributes, "llm.input_messages")
        or _event_messages(events)
        or listed(first(attributes, "gen_ai.prompt"))
    )
    system = [{"role": "system", "parts": rules}] if rules and not _are_messages(rules) else rules
    return writer.messages([*system, *found])


def _are_messages(found: list[Any]) -> bool:
    return any(isinstance(one, dict) and "role" in one for one in found)


def _structured(found: Any) -> list[Any]:
    """Messages or parts, given as values or as JSON text.

    Raises:
        _Broken: a text that begins like JSON and is none.
    """
    found = opened(found)
    if isinstance(found, list):
        return [opened(one) for one in found]
    if isinstance(found, dict):
        return [found]
    if isinstance(found, str) and found.lstrip().startswith(("{", "[")):
        raise _Broken
    return [{"type": "text", "content": found}] if isinstance(found, str) and found else []


def _event_messages(events: Sequence[Event]) -> list[Any]:
    """Messages in events of their own: gen_ai.user.message and its kin; before them, gen_ai.content.prompt."""
    out: list[Any] = []
    for event in events:
        kind, _, last = event.name.removeprefix("gen_ai.").rpartition(".")
        if event.name.startswith("gen_ai.") and last == "message":
            out.append({"role": kind, **_event_body(event)})
        elif event.name == "gen_ai.content.prompt":
            out += _loose(event.attributes.get("gen_ai.prompt"), "user")
    return out


def _event_body(event: Event) -> dict[str, Any]:
    """What an event says in attributes, or in one that holds a JSON object."""
    body = opened(first(event.attributes, "gen_ai.event.content", "body", "event_body"))
    given = {name.removeprefix("gen_ai."): found for name, found in event.attributes.items()}
    return {**given, **body} if isinstance(body, dict) else given


def _loose(found: Any, role: str) -> list[Any]:
    opened_value = opened(found)
    if isinstance(opened_value, list):
        return opened_value
    if isinstance(opened_value, dict):
        return [opened_value]
    return [{"role": role, "content": found}] if isinstance(found, str) and found else []


def _answer(attributes: Mapping[str, Any], events: Sequence[Event], writer: "_Writer") -> dict[str, Any]:
    got = opened(attributes.get("output.value"))
    if isinstance(got, dict) and isinstance(got.get("choices"), list):
        return got
    found = (
        _structured(attributes.get("gen_ai.output.messages"))
        or numbered(attributes, "gen_ai.completion")
        or numbered(attributes, "llm.completions")
        or numbered(attributes, "llm.output_messages")
        or _event_choices(events)
        or listed(attributes.get("gen_ai.completion"))
        or ([{"role": "assistant", "content": got}] if isinstance(got, str) and got else [])
    )
    found = [{"role": "assistant", "parts": [one]} if _is_part(one) else one for one in found]
    reasons = listed(attributes.get("gen_ai.response.finish_reasons"))
    choices = [_choice(one, n, reasons, writer) for n, one in enumerate(found) if isinstance(one, dict)]
    if not choices:
        return _failure(attributes)
    model = first(attributes, "gen_ai.response.model", "llm.response.model_name", "llm.response.model")
    named = {"id": attributes.get("gen_ai.response.id"), "object": "chat.completion", "model": model}
    return {**{name: told for name, told in named.items() if told is not None}, "choices": choices}


def _is_part(found: Any) -> bool:
    return isinstance(found, dict) and "role" not in found and "type" in found


def _event_choices(events: Sequence[Event]) -> list[Any]:
    out: list[Any] = []
    for event in events:
        if event.name == "gen_ai.choice":
            body = _event_body(event)
            message = opened(body.get("message"))
            out.append(
                {**body, **message} if isinstance(message, dict) else {**body, "content": body.get("content", message)}
            )
        elif event.name == "gen_ai.content.completion":
            out += _loose(event.attributes.get("gen_ai.completion"), "assistant")
    return out


def _choice(found: dict[str, Any], n: int, reasons: list[Any], writer: "_Writer") -> dict[str, Any]:
    message = writer.answer(found)
    reason = found.get("finish_reason") or (reasons[n] if n < len(reasons) else None)
    return {"index": n, "message": message, "finish_reason": finish_reason(reason) or None}


def _failure(attributes: Mapping[str, Any]) -> dict[str, Any]:
    kind = attributes.get("error.type")
    return {"error": {"type": kind}} if isinstance(kind, str) and kind else {}


def _parameters(attributes: Mapping[str, Any]) -> dict[str, Any]:
    given = opened(attributes.get("llm.invocation_parameters"))
    out = (
        {name: found for name, found in given.items() if name not in ("messages", "model")}
        if isinstance(given, dict)
        else {}
    )
    for name, spellings in _PARAMETERS.items():
        found = first(attributes, *spellings)
        if found is not None and found != [] and not (name == "n" and found == 1):
            out[name] = found
    kind = first(attributes, "gen_ai.output.type", "gen_ai.openai.request.response_format")
    if kind in ("json", "json_object", "json_schema"):
        out.setdefault("response_format", {"type": "json_object"})
    if any(fields.switch(attributes.get(name)) for name in _STREAMED):
        out.setdefault("stream", True)
    return out


def _tools(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = (
        listed(attributes.get("gen_ai.tool.definitions"))
        or numbered(attributes, "llm.request.functions")
        or numbered(attributes, "llm.tools")
    )
    return [tool for one in found if (tool := _tool(opened(one)))]


def _tool(found: Any) -> dict[str, Any] | None:
    if not isinstance(found, dict):
        return None
    if "tool" in found or "json_schema" in found:
        inner = found.get("tool", found)
        return _tool(opened(inner.get("json_schema"))) if isinstance(inner, dict) else None
    function = found.get("function", found)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    shape = opened(first(function, "parameters", "input_schema"))
    told = {"name": function["name"], "description": function.get("description"), "parameters": shape}
    strict = {"strict": function["strict"]} if isinstance(function.get("strict"), bool) else {}
    return {"type": "function", "function": {k: x for k, x in told.items() if x is not None} | strict}


# ------------------------------------------------------------------------------------------------ messages
class _Writer:
    """Writes messages in chat form, and notes what they use and what cannot be written."""

    def __init__(self) -> None:
        self.obstacle = ""
        self.calls_tools = False

    def messages(self, found: Iterable[Any]) -> list[dict[str, Any]]:
        """All messages; one with answers of several tools becomes several."""
        return [written for one in found if isinstance(one, dict) for written in self._message(one)]

    def answer(self, found: dict[str, Any]) -> dict[str, Any]:
        """The message of a choice."""
        written = self._message({**_inside(found), "role": "assistant"})
        return written[0] if written else {"role": "assistant", "content": None}

    def _message(self, found: dict[str, Any]) -> list[dict[str, Any]]:
        found = _inside(found)
        told = found.get("role")
        role = _ROLES.get(told, told) if isinstance(told, str) and told else "user"
        parts = _parts(found)
        tool_calls = [*listed(found.get("tool_calls")), *([found["function_call"]] if "function_call" in found else [])]
        out, content = [], []
        for part in parts:
            kind = part.get("type")
            if kind == "tool_call":
                tool_calls.append(part)
            elif kind == "tool_call_response":
                out.append(self._tool_answer(part))
            elif kind not in ("reasoning", "thinking"):
                content.append(self._part(part))
        said: dict[str, Any] = {"role": role, "content": _joined(content)}
        if tool_calls:
            self.calls_tools = True
            said["tool_calls"] = [call for one in tool_calls if (call := _tool_call(opened(one)))]
        if role == "tool" and (content or not out):
            said["tool_call_id"] = first(found, "tool_call_id", "id")
            self.calls_tools = True
        return [said, *out] if content or tool_calls or not out else out

    def _tool_answer(self, part: dict[str, Any]) -> dict[str, Any]:
        self.calls_tools = True
        found = first(part, "response", "result", "content")
        return {"role": "tool", "tool_call_id": part.get("id"), "content": _text(found)}

    def _part(self, part: dict[str, Any]) -> dict[str, Any]:
        kind = part.get("type")
        if kind in ("text", "refusal", "input_text", "output_text", None):
            return {"type": "text", "text": _text(first(part, "content", "text", "refusal"))}
        if kind == "image_url":
            return part
        if "image" in (part.get("modality"), kind, str(part.get("mime_type")).partition("/")[0]):
            address = first(part, "uri", "url") or f"data:{part.get('mime_type')};base64,{part.get('content')}"
            return {"type": "image_url", "image_url": {"url": address}}
        self.obstacle = self.obstacle or "not_chat"  # sound, files: nothing that every chat model takes
        return part


def _inside(found: dict[str, Any]) -> dict[str, Any]:
    inner = found.get("message")
    return inner if isinstance(inner, dict) else found


def _parts(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The content of a message as parts, in any of its forms."""
    listed_parts = found.get("parts")
    if isinstance(listed_parts, list):
        return [part if isinstance(part, dict) else {"type": "text", "text": part} for part in listed_parts]
    nested = found.get("contents")
    if isinstance(nested, list):
        return [_openinference_part(part) for part in nested if isinstance(part, dict)]
    content = found.get("content")
    inner = opened(content) if isinstance(content, str) and content.startswith('[{"type"') else content
    if isinstance(inner, list):
        return [part if isinstance(part, dict) else {"type": "text", "text": part} for part in inner]
    return [] if content is None else [{"type": "text", "text": content}]


def _openinference_part(found: dict[str, Any]) -> dict[str, Any]:
    part = found.get("message_content", found)
    if not isinstance(part, dict):
        return {"type": "text", "text": part}
    image = part.get("image")
    while isinstance(image, dict):
        image = image.get("image") or image.get("url")
    return {"type": "image", "url": image} if image else {"type": part.get("type"), "text": part.get("text")}


def _joined(content: list[dict[str, Any]]) -> Any:
    if not content:
        return None
    return content[0]["text"] if len(content) == 1 and content[0].get("type") == "text" else content


def _tool_call(found: Any) -> dict[str, Any] | None:
    call = found.get("tool_call", found) if isinstance(found, dict) else None
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    named = {"name": function["name"], "arguments": _text(function.get("arguments", "{}"))}
    return {"id": call.get("id") or "", "type": "function", "function": named}


def _text(found: Any) -> str:
    if isinstance(found, str):
        return found
    return "" if found is None else _encoded(found).decode()


def _encoded(found: Any) -> bytes:
    try:
        return msgspec.json.encode(found)
    except OverflowError:  # whole numbers beyond 64 bits
        return json.dumps(found).encode()
