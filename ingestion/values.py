"""Plain values of ingestion: a record as read, what came of an import, a profile of usage."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec

TIME_FLAG = "time_unknown"
"""Metadata key of a record whose source told no time; it carries the time of its import."""


class RawRecord(msgspec.Struct, frozen=True):
    """One model call as its source tells it; None and "" mean that the source does not say.

    A struct, not a dataclass: made and changed for every row, it costs a tenth; `msgspec.structs.replace` changes one.

    `request` and `response` are the bodies' JSON text exactly as it came. `cached_tokens` and `cache_write_tokens` are
    part of `input_tokens`, `reasoning_tokens` of `output_tokens`. `messages` and `tool_calls` count what a call brought
    that the calls before it of the same row did not. `counted`: rows without an id that say the same are different
    calls.
    """

    source_id: str | None
    trace_key: str | None
    occurred_at: datetime | None
    provider: str
    model: str
    status: str  # "ok" | "failed"
    request: str
    response: str
    prompt_version: str = ""
    status_code: int | None = None
    finish_reason: str = ""
    refused: bool | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    source_cost_nanousd: int | None = None
    latency_us: int | None = None
    first_token_us: int | None = None
    uses_tools: bool = False
    uses_json: bool = False
    has_images: bool = False
    streamed: bool = False
    obstacle: str = ""
    preview: str = ""
    messages: int = 0
    tool_calls: int = 0
    counted: bool = False
    metadata: Mapping[str, str] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class RowAside:
    """A row that could not be read."""

    line: int
    code: str
    reason: str


@dataclass(frozen=True)
class Imported:
    """What came of rows given to the store, and what they held.

    `reasons` holds the first rows set aside, at most 100. `traces` counts different ones. Tokens and the source's own
    cost are sums over the records that tell them; None: none does. `without_calls` counts rows that tell of something
    else, such as spans.
    """

    added: int = 0
    already_there: int = 0
    set_aside: int = 0
    without_calls: int = 0
    batches: int = 0
    traces: int = 0
    messages: int = 0
    tool_calls: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_nanousd: int | None = None
    reasons: tuple[RowAside, ...] = ()


@dataclass(frozen=True)
class PushedRow:
    """What came of one pushed row."""

    index: int
    status: str  # "added" | "already_there" | "set_aside"
    source_id: str | None = None
    code: str | None = None
    reason: str | None = None


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one call; `cached_tokens` and `cache_write_tokens` are part of `input_tokens`.

    `reasoning_tokens` are part of `output_tokens`.
    """

    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class Metered(Protocol):
    """What tells the tokens of a call: a record as it came, or a stored one."""

    @property
    def input_tokens(self) -> int | None: ...
    @property
    def output_tokens(self) -> int | None: ...
    @property
    def cached_tokens(self) -> int | None: ...
    @property
    def cache_write_tokens(self) -> int | None: ...
    @property
    def reasoning_tokens(self) -> int | None: ...


def usage_of(record: Metered) -> Usage:
    """The tokens of a call."""
    return Usage(
        record.input_tokens,
        record.output_tokens,
        record.cached_tokens,
        record.cache_write_tokens,
        record.reasoning_tokens,
    )


@dataclass(frozen=True)
class Price:
    """Nano-dollars per million tokens.

    Without a price of their own, tokens read from a cache or written to it cost what input does, reasoning what output
    does.
    """

    input_nanousd: int
    output_nanousd: int
    cached_input_nanousd: int | None = None
    cache_write_nanousd: int | None = None
    reasoning_nanousd: int | None = None


@dataclass(frozen=True)
class UsageProfile:
    """How a project uses a model within a window; None where no row tells."""

    n_calls: int
    n_failed: int
    days: float
    monthly_calls: float | None
    p50_input_tokens: int | None
    p99_input_tokens: int | None
    p99_output_tokens: int | None
    mean_input_tokens: float | None
    mean_output_tokens: float | None
    share_cached: float | None
    share_tools: float | None
    share_json: float | None
    share_images: float | None
    share_streamed: float | None
    mean_cost_nanousd: float | None


@dataclass(frozen=True)
class LogFilter:
    """Which calls a list shows; "" and None leave a field free. `words` must all stand in the preview, in any case.

    `use_case` is a name as shown.
    """

    model: str = ""
    use_case: str = ""
    prompt_version: str = ""
    status: str = ""  # "ok" | "failed" | "refused"
    words: tuple[str, ...] = ()
    trace: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogRow:
    """A call as lists show it. `status` is ok, failed or refused; `cursor` goes on after it."""

    pk: int
    source_id: str
    version: int
    occurred_at: datetime
    provider: str
    model: str
    status: str
    status_code: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_nanousd: int | None
    latency_us: int | None
    obstacle: str
    trace_key: str
    preview: str
    cursor: str


@dataclass(frozen=True)
class LogPage:
    """Calls, newest first; `after` goes on, None: these are the last."""

    rows: tuple[LogRow, ...]
    after: str | None


@dataclass(frozen=True)
class Counted:
    """A count that stops at a limit; `more`: there are more than `n`."""

    n: int
    more: bool
