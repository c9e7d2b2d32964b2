"""OTLP over HTTP: both encodings, partial success, and every refusal as exporters expect it."""

import gzip
import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.db import OperationalError
from django.test import Client
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from ingestion import imports, otlp, store
from projects import tokens
from projects.models import Project, User
from tests.ingestion.formats import spans
from tests.ingestion.formats.spans import SPAN, TRACE, span

ADDRESS = "/otlp/v1/traces"
PROTOBUF = "application/x-protobuf"
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 57,
    "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]',
}


@pytest.fixture
def sender(project: Project, owner: User) -> Client:
    """A program with a token of the project that may only send logs."""
    token = tokens.issue("exporter", project=project, scopes=["ingest"], by=owner).plain
    return Client(headers={"authorization": f"Bearer {token}"})


def send(client: Client, body: bytes, kind: str = "application/json", **headers: str) -> Any:
    return client.post(ADDRESS, body, content_type=kind, headers=headers, CONTENT_TYPE=kind)


def as_protobuf(attributes: dict[str, Any]) -> tuple[bytes, str]:
    """A request as the SDK writes it, and the id that its span must get."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("call", attributes=attributes) as open_span:
        open_span.add_event("gen_ai.user.message", {"content": "Hi", "numbers": [1, 2], "half": 0.5, "yes": True})
        known = open_span.get_span_context()
    provider.shutdown()
    body = encode_spans(exporter.get_finished_spans()).SerializeToString()
    return body, f"{format_trace_id(known.trace_id)}-{format_span_id(known.span_id)}"


def test_json_is_stored_and_answered_in_json(sender: Client, project: Project) -> None:
    answer = send(sender, spans.line(span(CHAT), span({"http.method": "GET"}, spanId="00000000000000ff")))

    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"{}", "application/json")
    assert answer["X-Agentopt-Spans"] == "added=1 already-there=0 set-aside=0 ignored=1"
    record = project.logs.get()
    assert (record.source_id, record.trace.key, record.input_tokens) == (f"{TRACE}-{SPAN}", TRACE, 57)
    assert json.loads(record.body.request)["messages"] == [{"role": "user", "content": "Hi"}]


def test_protobuf_is_stored_and_answered_in_protobuf(sender: Client, project: Project) -> None:
    body, source_id = as_protobuf({name: told for name, told in CHAT.items() if "messages" not in name})

    answer = send(sender, gzip.compress(body), PROTOBUF, **{"Content-Encoding": "gzip"})

    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, b"", PROTOBUF)
    record = project.logs.get()
    assert (record.source_id, record.model, record.input_tokens) == (source_id, "gpt-4o-mini", 57)
    assert json.loads(record.body.request)["messages"] == [{"role": "user", "content": "Hi"}]


def test_a_request_sent_twice_adds_nothing(sender: Client, project: Project) -> None:
    body, _ = as_protobuf(CHAT)

    answers = [send(sender, body, PROTOBUF)["X-Agentopt-Spans"] for _ in range(2)]

    assert [answer.split()[0] for answer in answers] == ["added=1", "added=0"]
    assert project.logs.count() == 1


def test_a_span_that_cannot_be_read_fails_no_other(sender: Client, project: Project) -> None:
    good, bad = span(CHAT), span({**CHAT, "gen_ai.usage.input_tokens": -5}, spanId="00000000000000ff")

    answer = send(sender, spans.line(bad, good, 7))

    assert answer.status_code == 200
    part = answer.json()["partialSuccess"]
    assert part["rejectedSpans"] == "2"
    assert "expected a number of at least 0" in part["errorMessage"]
    assert project.logs.get().source_id == f"{TRACE}-{SPAN}"
    assert project.set_aside.count() == 2


def test_partial_success_is_told_in_protobuf_too(sender: Client, project: Project) -> None:
    body, _ = as_protobuf({**CHAT, "gen_ai.usage.input_tokens": -5})

    answer = send(sender, body, PROTOBUF)

    part = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, part.rejected_spans) == (200, 1)
    assert "expected a number of at least 0" in part.error_message


def test_an_empty_request_is_fine(sender: Client) -> None:
    found = [send(sender, b"", PROTOBUF), send(sender, b"{}"), send(sender, b'{"resourceSpans": []}')]

    assert [answer.status_code for answer in found] == [200, 200, 200]


REFUSALS: dict[str, tuple[bytes, str, dict[str, str], int, int]] = {
    "no JSON": (b"{", "application/json", {}, 400, 3),
    "another object": (b'{"logs": 1}', "application/json", {}, 400, 3),
    "no protobuf": (b"\xff\xff", PROTOBUF, {}, 400, 3),
    "no gzip": (b"{}", "application/json", {"Content-Encoding": "gzip"}, 400, 3),
    "half a gzip": (gzip.compress(b"{}")[:-4], PROTOBUF, {"Content-Encoding": "gzip"}, 400, 3),
    "another packing": (b"{}", PROTOBUF, {"Content-Encoding": "br"}, 415, 3),
    "another type": (b"{}", "text/plain", {}, 415, 3),
    "a zip bomb": (gzip.compress(b" " * (otlp.MAX_BYTES + 1)), PROTOBUF, {"Content-Encoding": "gzip"}, 413, 3),
    "too large": (b" " * (otlp.MAX_BYTES + 1), "application/json", {}, 413, 3),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
def test_what_no_repeat_can_mend_is_refused_without_one(
    sender: Client, project: Project, case: tuple[bytes, str, dict[str, str], int, int]
) -> None:
    body, kind, headers, status, code = case

    answer = send(sender, body, kind, **headers)

    assert (answer.status_code, "Retry-After" in answer) == (status, False)
    told = Status.FromString(answer.content) if kind == PROTOBUF else Status(**answer.json())
    assert told.code == code
    assert told.message
    assert answer["Content-Type"] == (PROTOBUF if kind == PROTOBUF else "application/json")
    assert not project.logs.exists()


def test_a_busy_database_asks_for_a_repeat(sender: Client) -> None:
    body, _ = as_protobuf(CHAT)
    with mock.patch.object(store, "append", side_effect=OperationalError("database is locked")):
        answer = send(sender, body, PROTOBUF)

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert Status.FromString(answer.content).code == 14


def test_a_token_is_needed_and_must_be_for_ingest(project: Project, owner: User) -> None:
    reading = tokens.issue("reads", project=project, scopes=["read"], by=owner).plain
    bodies = [
        send(Client(), b"{}"),
        send(Client(headers={"authorization": "Bearer aop_x_y"}), b"", PROTOBUF),
        send(Client(headers={"authorization": f"Bearer {reading}"}), b"{}"),
    ]

    assert [answer.status_code for answer in bodies] == [401, 401, 403]
    assert bodies[0].json()["code"] == 16
    assert Status.FromString(bodies[1].content).code == 16
    assert bodies[0]["WWW-Authenticate"] == "Bearer"


def test_a_personal_token_names_its_project_in_a_header(project: Project, member: User, stranger: User) -> None:
    mine, other = (tokens.issue("me", user=user, by=user).plain for user in (member, stranger))
    body = spans.line(span(CHAT))

    def answer(token: str, **headers: str) -> int:
        client = Client(headers={"authorization": f"Bearer {token}"})
        return int(send(client, body, **headers).status_code)

    assert answer(mine) == 400
    assert answer(mine, **{"X-Agentopt-Project": project.slug}) == 200
    assert answer(other, **{"X-Agentopt-Project": project.slug}) == 404


def test_a_session_does_not_count_here(project: Project, owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)

    assert send(client, b"{}").status_code == 401


def test_another_method_is_refused_in_form(sender: Client) -> None:
    answer = sender.get(ADDRESS)

    assert (answer.status_code, answer.json()["code"], answer["Allow"]) == (405, 12, "POST, OPTIONS")


def test_both_encodings_of_a_request_become_the_same_rows(sender: Client) -> None:
    body, _ = as_protobuf({**CHAT, "list": ["a", "b"], "half": 0.5, "yes": True})
    request = ExportTraceServiceRequest.FromString(body)
    found = request.resource_spans[0].scope_spans[0].spans[0]
    written = {
        "traceId": found.trace_id.hex(), "spanId": found.span_id.hex(), "name": found.name,
        "startTimeUnixNano": str(found.start_time_unix_nano), "endTimeUnixNano": str(found.end_time_unix_nano),
        "attributes": spans.pairs({**CHAT, "list": ["a", "b"], "half": 0.5, "yes": True}),
        "events": [{"name": "gen_ai.user.message", "timeUnixNano": str(found.events[0].time_unix_nano), "attributes":
                    spans.pairs({"content": "Hi", "numbers": [1, 2], "half": 0.5, "yes": True})}],
    }  # fmt: skip
    sender.post(ADDRESS, body, content_type=PROTOBUF)
    resource = {one.key: one.value.string_value for one in request.resource_spans[0].resource.attributes}

    answer = send(sender, spans.line(written, resource=resource))

    assert answer["X-Agentopt-Spans"] == "added=0 already-there=1 set-aside=0 ignored=0"


def test_what_a_collector_wrote_to_a_file_imports_beside_what_was_sent(
    sender: Client, project: Project, tmp_path: Path
) -> None:
    other = span(CHAT, spanId="00000000000000ff")
    path = tmp_path / "traces.jsonl"
    path.write_bytes(
        b"\n".join([spans.line(span(CHAT), other), spans.line(span({"http.method": "GET"}, spanId="00000000000000fe"))])
    )
    send(sender, spans.line(span(CHAT)))

    found = imports.import_file(project, path)

    assert (found.added, found.already_there, found.set_aside) == (1, 1, 0)
    assert project.batches.latest("pk").format == "otlp"
