"""Values that go to and come from the gateway."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Endpoint:
    """Where calls go and how they prove who they are.

    `base_url` and `control_url` carry their path (/v1); `auth_header` is x-portkey-api-key or Authorization. `config`
    names the provider behind the gateway where the key does not: an id, or JSON; it goes with model calls only.
    """

    base_url: str
    control_url: str
    auth_header: str
    api_key: str = field(repr=False)
    config: str = field(default="", repr=False)


@dataclass(frozen=True)
class ChatRequest:
    """One call of a model.

    `body` is a chat body without its model: messages, tools, parameters, maybe stream. `timeout_s` covers the whole
    call, repeats and the waits between them included, from when its provider has room for it. Calls of one `provider`
    share that room (lanes.py); its name is not sent. `metadata` values are cut to the gateway's 128 characters.
    """

    model: str
    body: Mapping[str, Any] = field(repr=False)
    trace_id: str
    metadata: Mapping[str, str]
    timeout_s: float
    provider: str = ""


@dataclass(frozen=True)
class Usage:
    """Tokens as the provider counted them; None where it did not say.

    Cached and written ones are part of the input, reasoning of the output.
    """

    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True)
class ChatReply:
    """An answer. `model` is the one that the gateway says answered (empty: it did not say).

    `latency_us` is that of the successful attempt, first byte sent to last byte read; `calls` counts the requests sent,
    repeats included. An answer may be empty (no text, no tool call): that is the model's doing and not an error.
    """

    text: str = field(repr=False)
    tool_calls: tuple[Mapping[str, Any], ...] = field(repr=False)
    finish_reason: str
    model: str
    refusal: str | None = field(repr=False)
    usage: Usage
    latency_us: int
    first_token_us: int | None
    calls: int
    simulated: bool


@dataclass(frozen=True)
class GatewayModel:
    """A model that the gateway offers: `name` is what to send as "model"."""

    name: str
    provider: str
    model: str


@dataclass(frozen=True)
class Draft:
    """An export that exists; `total` is how many calls match it, None where the gateway did not say."""

    id: str
    total: int | None


@dataclass(frozen=True)
class ExportState:
    """Where an export stands. Neither a draft, ready nor failed means: wait, whatever the word is."""

    status: str
    draft: bool
    ready: bool
    failed: bool
    total: int | None
