"""OTLP requests for traces: from the wire to the store. What `receive` has counted is committed."""

from dataclasses import dataclass
from typing import Any

import msgspec
from django.utils import timezone

from agentopt.lib.errors import Invalid
from ingestion import rollups, store
from ingestion.formats import otlp
from ingestion.formats.fields import MAX_LINE_BYTES, Unreadable
from ingestion.models import Batch
from ingestion.values import PushedRow
from projects.models import Project

MAX_BYTES = MAX_LINE_BYTES
MAX_REASONS = 3


@dataclass(frozen=True)
class Received:
    """What became of the spans of a request; `ignored` are those that are no model calls."""

    added: int
    already_there: int
    set_aside: int
    ignored: int
    message: str


def receive(project: Project, body: bytes, *, is_json: bool) -> Received:
    """Store the model calls among the spans of a request; each is accepted or set aside on its own.

    Raises:
        Invalid: the body is no request for traces.
    """
    found = _split(body, is_json=is_json)
    outcomes: list[PushedRow] = []
    if found.rows:
        store.append(
            project,
            list(enumerate(found.rows)),
            format="otlp",
            source=Batch.Source.PUSH,
            label="otlp",
            simulated=False,
            now=timezone.now(),
            outcomes=outcomes.append,
        )
        rollups.ask(project)
    counts = dict.fromkeys(("added", "already_there", "set_aside"), 0)
    for row in outcomes:
        counts[row.status] += 1
    reasons = dict.fromkeys(row.reason for row in outcomes if row.status == "set_aside" and row.reason)
    return Received(**counts, ignored=found.ignored, message=" ".join(list(reasons)[:MAX_REASONS]))


def _split(body: bytes, *, is_json: bool) -> otlp.Split:
    try:
        return otlp.split(body) if is_json else _split_protobuf(body)
    except Unreadable as error:
        raise Invalid(f"This is no OTLP request for traces. {error.reason}", fields={"request": error.reason}) from None


def _split_protobuf(body: bytes) -> otlp.Split:
    """The same rows as out of JSON."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        raise Unreadable("bad_protobuf", "The body cannot be read as ExportTraceServiceRequest.") from None
    rows, ignored = [], 0
    for sender in request.resource_spans:
        resource = _encode(otlp.Resource(_pairs(sender.resource.attributes)))
        for part in sender.scope_spans:
            for span in part.spans:
                if otlp.is_call({pair.key: pair.value.string_value for pair in span.attributes}):
                    rows.append(otlp.row(resource, b"", _encode(_span(span))))
                else:
                    ignored += 1
    return otlp.Split(rows, ignored)


_encode = msgspec.json.Encoder().encode


def _span(span: Any) -> otlp.Span:
    return otlp.Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        name=span.name,
        start_time_unix_nano=span.start_time_unix_nano,
        end_time_unix_nano=span.end_time_unix_nano,
        attributes=_pairs(span.attributes),
        dropped_attributes_count=span.dropped_attributes_count,
        events=[otlp.Event(one.name, one.time_unix_nano, _pairs(one.attributes)) for one in span.events],
        dropped_events_count=span.dropped_events_count,
        status=otlp.Status(span.status.code, span.status.message),
    )


def _pairs(found: Any) -> list[otlp.KeyValue]:
    return [otlp.KeyValue(pair.key, _value(pair.value)) for pair in found]


def _value(found: Any) -> otlp.AnyValue:
    """Bytes are left out: nothing that we read is told by them."""
    kind = found.WhichOneof("value")
    if kind == "array_value":
        return otlp.AnyValue(array_value=otlp.Values([_value(one) for one in found.array_value.values]))
    if kind == "kvlist_value":
        return otlp.AnyValue(kvlist_value=otlp.KeyValues(_pairs(found.kvlist_value.values)))
    if kind in ("string_value", "int_value", "double_value", "bool_value"):
        return otlp.AnyValue(**{kind: getattr(found, kind)})
    return otlp.AnyValue()
