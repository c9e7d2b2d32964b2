"""Logs over HTTP: push, list, look at, ask; for each kind of person."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ingestion import store
from projects import tokens
from projects.models import Project, User
from tests.ingestion.conftest import encoded, portkey_row

NOW = datetime(2026, 2, 1, tzinfo=UTC)
Clients = Callable[[User], Client]


def keep(project: Project, *rows: Any) -> None:
    store.append(project, encoded(*rows), format="portkey", source="file", label="", simulated=False, now=NOW)


@pytest.fixture
def filled(project: Project) -> Project:
    rows = [
        portkey_row(n, created_at=f"2026-01-{n:02}T12:00:00Z", ai_model="alpha" if n % 2 else "beta")
        for n in range(1, 8)
    ]
    keep(project, *rows)
    return project


def test_pushed_rows_are_answered_one_by_one(project: Project, member: User, client_of: Clients) -> None:
    body = {"records": [portkey_row(1), 7, portkey_row(1), {"ai_model": "m", "created_at": "soon"}]}

    answer = client_of(member).post(f"/api/v1/logs/{project.slug}", body, content_type="application/json")

    assert answer.status_code == 200
    found = answer.json()
    assert (found["added"], found["already_there"], found["set_aside"]) == (1, 1, 2)
    assert [(row["index"], row["status"], row["code"]) for row in found["results"]] == [
        (0, "added", None), (1, "set_aside", "not_an_object"), (2, "already_there", None), (3, "set_aside", "bad_time"),
    ]  # fmt: skip


def test_a_bare_list_is_a_push_too(project: Project, member: User, client_of: Clients) -> None:
    body = json.dumps([portkey_row(1), "no object"])

    answer = client_of(member).post(f"/api/v1/logs/{project.slug}", body, content_type="application/json")

    assert answer.status_code == 200
    assert (answer.json()["added"], answer.json()["set_aside"]) == (1, 1)


def test_a_body_that_is_no_object_is_refused_as_the_request(project: Project, member: User, client_of: Clients) -> None:
    answer = client_of(member).post(f"/api/v1/logs/{project.slug}", "5", content_type="application/json")

    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == ["request"]


def test_a_push_over_5_mb_with_an_idempotency_key_is_refused_alike(
    project: Project, member: User, client_of: Clients
) -> None:
    body = json.dumps({"records": ["x" * (6 * 1024 * 1024)]})
    address = f"/api/v1/logs/{project.slug}"

    answer = client_of(member).post(address, body, "application/json", headers={"Idempotency-Key": "once"})

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_a_push_over_5_mb_is_refused(project: Project, member: User, client_of: Clients) -> None:
    body = json.dumps({"records": [{"request": "x" * (5 * 2**20)}]})

    answer = client_of(member).post(f"/api/v1/logs/{project.slug}", body, content_type="application/json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_pages_go_on_where_the_last_one_ended(filled: Project, reader: User, client_of: Clients) -> None:
    client, seen, after = client_of(reader), [], ""
    for _ in range(4):
        page = client.get(f"/api/v1/logs/{filled.pk}", {"limit": "3", "after": after}).json()
        seen += [row["source_id"] for row in page["items"]]
        after = page["next"]
        if after is None:
            break

    assert seen == [f"log-{n}" for n in range(7, 0, -1)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"model": "alpha"}, [7, 5, 3, 1]),
        ({"q": "ORDER 3"}, [3]),
        ({"trace": "trace-2"}, [2]),
        ({"since": "2026-01-03", "until": "2026-01-05T12:00:00Z"}, [4, 3]),
        ({"status": "failed"}, []),
    ],
)
def test_lists_can_be_narrowed(
    filled: Project, reader: User, client_of: Clients, query: dict[str, str], expected: list[int]
) -> None:
    page = client_of(reader).get(f"/api/v1/logs/{filled.slug}", query).json()

    assert [row["source_id"] for row in page["items"]] == [f"log-{n}" for n in expected]


@pytest.mark.parametrize("query", [{"status": "odd"}, {"after": "%00"}, {"since": "soon"}, {"limit": "0"}])
def test_a_wrong_filter_is_named(filled: Project, reader: User, client_of: Clients, query: dict[str, str]) -> None:
    answer = client_of(reader).get(f"/api/v1/logs/{filled.slug}", query)

    assert answer.status_code == 400
    assert set(answer.json()["error"]["fields"]) == set(query)


def test_lists_neither_count_all_rows_nor_skip_over_any(filled: Project, reader: User, client_of: Clients) -> None:
    client = client_of(reader)

    with CaptureQueriesContext(connection) as queries:
        client.get(f"/api/v1/logs/{filled.slug}", {"limit": "3", "q": "order"})

    assert not [query["sql"] for query in queries if "COUNT(*)" in query["sql"] or "OFFSET" in query["sql"]]
    assert len(queries) <= 12


def test_one_call_shows_its_bodies_and_versions(filled: Project, reader: User, client_of: Clients) -> None:
    keep(filled, portkey_row(1, metadata={"feedback": "good"}))
    newest = filled.logs.get(source_id="log-1", version=2)

    found = client_of(reader).get(f"/api/v1/logs/{filled.slug}/{newest.pk}").json()

    assert (found["version"], found["is_newest"], len(found["versions"])) == (2, True, 2)
    assert json.loads(found["request"])["messages"][0]["content"] == "Where is order 1?"
    assert found["cost_usd"] == pytest.approx(0.00018)


def test_stats_tell_what_the_store_holds(filled: Project, reader: User, client_of: Clients) -> None:
    found = client_of(reader).get(f"/api/v1/logs/{filled.slug}/stats").json()

    assert (found["records"], found["batches"], found["models"]) == (7, 1, ["alpha", "beta"])
    assert found["first_at"] == "2026-01-01T12:00:00Z"


def test_a_question_is_answered(filled: Project, reader: User, client_of: Clients) -> None:
    question = {"project": filled.slug, "kind": "aggregation", "metric": "calls", "group_by": ["model"]}

    found = client_of(reader).post("/api/v1/analytics", question, content_type="application/json").json()

    assert [(row["group"]["model"], row["value"]) for row in found["rows"]] == [("alpha", 4), ("beta", 3)]


def test_a_question_outside_the_vocabulary_is_refused(filled: Project, reader: User, client_of: Clients) -> None:
    question = {"project": filled.slug, "kind": "sql", "metric": "calls"}

    answer = client_of(reader).post("/api/v1/analytics", question, content_type="application/json")

    assert answer.status_code == 400
    assert "aggregation" in answer.json()["error"]["fields"]["kind"]


def test_the_summary_is_served(filled: Project, reader: User, client_of: Clients) -> None:
    found = client_of(reader).get(f"/api/v1/analytics/{filled.slug}/summary", {"since": "2026-01-03"}).json()

    assert found["total"]["calls"] == 5
    assert [day["key"] for day in found["by_day"]] == [f"2026-01-0{n}" for n in range(3, 8)]


def test_a_sync_without_a_gateway_says_what_is_missing(project: Project, member: User, client_of: Clients) -> None:
    answer = client_of(member).post(f"/api/v1/logs/{project.slug}/sync", {}, content_type="application/json")

    assert answer.status_code == 400
    assert "base_url" in answer.json()["error"]["fields"]


CASES: dict[str, tuple[str, str, Any, tuple[int, int, int]]] = {
    "list": ("get", "/api/v1/logs/{}", None, (200, 200, 404)),
    "stats": ("get", "/api/v1/logs/{}/stats", None, (200, 200, 404)),
    "one call": ("get", "/api/v1/logs/{}/999999", None, (404, 404, 404)),
    "push": ("post", "/api/v1/logs/{}", {"records": [portkey_row(1)]}, (200, 403, 404)),
    "sync": ("post", "/api/v1/logs/{}/sync", {}, (400, 403, 404)),
    "summary": ("get", "/api/v1/analytics/{}/summary", None, (200, 200, 404)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_members_write_readers_read_strangers_find_nothing(
    request: pytest.FixtureRequest, project: Project, client_of: Clients, case: tuple[str, str, Any, tuple[int, ...]]
) -> None:
    method, address, body, statuses = case
    options = {} if body is None else {"data": body, "content_type": "application/json"}
    people = [client_of(request.getfixturevalue(name)) for name in ("member", "reader", "stranger")]

    found = [getattr(client, method)(address.format(project.slug), **options).status_code for client in people]

    assert tuple(found) == statuses
    assert getattr(Client(), method)(address.format(project.slug)).status_code == 401


def test_a_token_for_ingest_pushes_and_reads_nothing(project: Project, owner: User) -> None:
    token = tokens.issue(project=project, by=owner, name="shipper", scopes=["ingest"]).plain
    client, address = Client(headers={"authorization": f"Bearer {token}"}), f"/api/v1/logs/{project.slug}"

    pushed = client.post(address, {"records": [portkey_row(1)]}, content_type="application/json")

    assert pushed.json()["added"] == 1
    assert client.get(address).status_code == 403
