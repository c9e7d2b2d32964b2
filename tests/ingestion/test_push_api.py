"""Push: how a body may come, where it breaks, and that a bad row fails no other."""

import gzip
import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from agentopt.lib.errors import Invalid
from ingestion import services
from ingestion.formats import pushed
from projects import tokens
from projects.models import Project, User
from tests.ingestion.conftest import portkey_row

GZIP = {"Content-Encoding": "gzip"}


@pytest.fixture
def shipper(project: Project, owner: User) -> Client:
    token = tokens.issue("shipper", project=project, scopes=["ingest"], by=owner).plain
    return Client(headers={"authorization": f"Bearer {token}"})


def push(client: Client, project: Project, body: Any, kind: str = "application/json", **headers: str) -> Any:
    written = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(f"/api/v1/logs/{project.slug}", written, content_type=kind, headers=headers)


def test_a_packed_push_is_unpacked(shipper: Client, project: Project) -> None:
    answer = push(shipper, project, gzip.compress(json.dumps([portkey_row(1)]).encode()), **GZIP)

    assert (answer.status_code, answer.json()["added"]) == (200, 1)


def test_a_line_that_is_no_json_fails_no_other_line(shipper: Client, project: Project) -> None:
    lines = [json.dumps(portkey_row(1)), '{"id": "broken', "", json.dumps(portkey_row(2)), "NaN"]

    answer = push(shipper, project, "\r\n".join(lines).encode(), "application/x-ndjson")

    assert [(row["index"], row["status"]) for row in answer.json()["results"]] == [
        (0, "added"), (1, "set_aside"), (2, "added"), (3, "set_aside"),
    ]  # fmt: skip
    assert project.logs.count() == 2


def test_rows_of_junk_before_the_good_ones_fail_none_of_them(shipper: Client, project: Project) -> None:
    answer = push(shipper, project, {"records": [*range(30), portkey_row(1)]})

    assert (answer.json()["added"], answer.json()["set_aside"]) == (1, 30)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"records": [{"a": 1},\n {"b": nope}]}', "line 2, column 9"),
        (b'{"records": [', "line 1, column 14"),
        (b"", "line 1, column 1"),
        (b"\xff", "line 1, column 1"),
    ],
)
def test_broken_json_is_answered_with_its_place(shipper: Client, project: Project, body: bytes, place: str) -> None:
    answer = push(shipper, project, body)

    assert answer.status_code == 400
    assert place in answer.json()["error"]["message"]
    assert "nope" not in answer.content.decode()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"records": 5}, "records"),
        ({"records": []}, "records"),
        ({"records": [1] * (services.MAX_PUSHED_ROWS + 1)}, "records"),
        ({}, "records"),
        ({"records": [portkey_row(1)], "format": 5}, "format"),
        ({"records": [portkey_row(1)], "format": "odd"}, "format"),
        ({"records": [1, 2]}, "format"),
        ("text", "request"),
    ],
)
def test_a_push_that_makes_no_sense_names_the_field(shipper: Client, project: Project, body: Any, field: str) -> None:
    answer = push(shipper, project, body)

    assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, [field])


def test_a_push_that_unpacks_to_more_than_5_mb_is_refused(shipper: Client, project: Project) -> None:
    answer = push(shipper, project, gzip.compress(b" " * 6_000_000), **GZIP)

    assert answer.status_code == 413
    assert "5 MB" in answer.json()["error"]["message"]


def test_damaged_and_unknown_packing_is_refused(shipper: Client, project: Project) -> None:
    assert push(shipper, project, b"no gzip", **GZIP).status_code == 400
    assert push(shipper, project, b"{}", **{"Content-Encoding": "br"}).status_code == 415


def test_a_repeat_with_its_key_gets_the_first_answer(shipper: Client, project: Project) -> None:
    body = gzip.compress(json.dumps([portkey_row(1)]).encode(), mtime=0)

    found = [push(shipper, project, body, **GZIP, **{"Idempotency-Key": "once"}).json() for _ in range(2)]

    assert found[0] == found[1]
    assert found[0]["added"] == 1


def test_a_number_keeps_every_digit_it_came_with(shipper: Client, project: Project) -> None:
    body = b'[{"id":"a","request":{"model":"m","seed":12345678901234567890123,"top_p":0.10,"messages":[]}}]'

    push(shipper, project, body)

    assert '"seed":12345678901234567890123,"top_p":0.10' in project.logs.get().body.request


@given(st.binary(max_size=60) | st.text(alphabet='[]{}:,"records format1 ', max_size=60).map(str.encode))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    try:
        rows = pushed.read(body).rows
    except Invalid as error:
        rows = []
        assert error.fields  # noqa: PT017
    assert all(isinstance(row, bytes) for row in rows)
