"""Rows to entries of the store: who they are, the hash of what they told, and what the privacy mode leaves of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter

import msgspec
from msgspec.structs import replace

from ingestion import hashing, privacy, values
from ingestion.formats import detection
from ingestion.formats.fields import Unreadable

CLOCK_SKEW = timedelta(days=1)
GENERATED_ID = "content-"
_NO_TIME = {values.TIME_FLAG: "the source tells no time; this is the time of import"}
_encode = msgspec.json.Encoder(order="deterministic").encode
# all that the source tells, and nothing that we read out of it: a better rule of ours changes no record
_told = attrgetter(
    "source_id", "trace_key", "occurred_at", "provider", "model", "prompt_version", "status", "status_code",
    "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "source_cost_nanousd",
    "latency_us", "first_token_us", "metadata",
)  # fmt: skip


class Told(msgspec.Struct, frozen=True):
    """A call as it came, named and timed, with the hashes of what came.

    `digest` is the keyed hash of its id, `pair` that of both bodies; `own_trace`: its source told none.
    """

    record: values.RawRecord
    digest: bytes
    content_hash: str
    pair: str
    own_trace: bool


class Entry(msgspec.Struct, frozen=True):
    """A call as it is kept. `request` and `response` are UTF-8; `id_hash` is the keyed hash of the id as kept."""

    record: values.RawRecord
    key: bytes
    id_hash: str
    content_hash: str
    body_hash: str
    request: bytes
    response: bytes


@dataclass
class Source:
    """How rows of one import are read.

    `occurrence` tells how often rows of a content have come; `standing` are erasures that hold.
    """

    read: detection.Reader
    mode: str
    rules: privacy.Rules
    hasher: hashing.Hasher
    now: datetime
    occurrence: Callable[[str], int]
    standing: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)


def told(source: Source, line: int, raw: bytes) -> list[Told] | values.RowAside:
    """Read one row; its calls are taken together or set aside together."""
    try:
        records = source.read(raw)
    except Unreadable as error:
        return values.RowAside(line, error.code, error.reason)
    latest = source.now + CLOCK_SKEW
    for record in records:
        if record.occurred_at is not None and record.occurred_at > latest:
            return values.RowAside(line, "absurd_time", "The time lies in the future.")
    if len(records) > 1 and not any(record.source_id or record.trace_key for record in records):
        records = _together(source, records)
    return [_named(source, record) for record in records]


def _together(source: Source, records: Sequence[values.RawRecord]) -> list[values.RawRecord]:
    """Calls of one conversation that has no id: the last one tells all of it."""
    name = GENERATED_ID + source.hasher.keyed(source.hasher.pair(records[-1].request, records[-1].response))[:40]
    return [replace(record, trace_key=name) for record in records]


def _named(source: Source, record: values.RawRecord) -> Told:
    """Hash a call as it came, before our clock adds to it and before privacy takes from it."""
    pair = source.hasher.pair(record.request, record.response)
    content_hash = source.hasher.chained(_encode((_told(record), pair)))
    own_trace = record.trace_key is None
    if record.source_id is None or record.occurred_at is None or own_trace:
        name = record.source_id or _generated(source, record, content_hash)
        record = replace(
            record,
            source_id=name,
            trace_key=record.trace_key or name,
            occurred_at=record.occurred_at or source.now,
            metadata=record.metadata if record.occurred_at else {**record.metadata, **_NO_TIME},
        )
    return Told(record, source.hasher.digest(record.source_id or ""), content_hash, pair, own_trace)


def _generated(source: Source, record: values.RawRecord, content_hash: str) -> str:
    """A name made of the content; the hash is keyed, so it gives nothing away."""
    name = GENERATED_ID + content_hash[:40]
    return f"{name}-{source.occurrence(content_hash)}" if record.counted else name


def kept(source: Source, call: Told) -> Entry:
    """What the privacy mode, and erasures that hold, leave of a call."""
    came, hasher = call.record, source.hasher
    record = privacy.protect(came, mode=source.mode, own=source.rules, keyed=hasher.keyed)
    record = privacy.withhold(
        record, came.metadata, mode=source.mode, own=source.rules, standing=source.standing, hasher=hasher
    )
    request, response = record.request.encode(), record.response.encode()
    body_hash = ""
    if request or response or record.preview:
        same = record.request is came.request and record.response is came.response
        body_hash = hasher.joined(call.pair if same else hasher.pair(request, response), record.preview)
    return Entry(
        record=record,
        # of the id as it came, whatever the mode leaves of it
        key=call.digest[:16],
        id_hash=call.digest.hex() if record.source_id is came.source_id else hasher.value_hash(record.source_id or ""),
        content_hash=call.content_hash,
        body_hash=body_hash,
        request=request,
        response=response,
    )
