"""What pages ask of the logs: no count of all rows, nothing skipped over, and the index that is there for it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ingestion import grouping, rollups, store
from ingestion.models import LogRecord
from projects.models import Project, User
from tests.ingestion.conftest import encoded, portkey_row

NOW = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def filled(project: Project) -> Project:
    rows = encoded(*(portkey_row(n, trace_id=f"trace-{n % 9}") for n in range(60)), portkey_row(1, cost=2))
    store.append(project, rows, format="portkey", source="file", label="l", simulated=False, now=NOW)
    rollups.refresh(project)  # as every import does at its end
    return project


ADDRESSES = [
    "/p/{slug}/logs/",
    "/p/{slug}/logs/?model=gpt-4o-mini&status=ok&q=order",
    "/p/{slug}/logs/?trace=trace-3",
    "/p/{slug}/logs/?after={cursor}",
    "/p/{slug}/logs/{pk}/",
    "/api/v1/logs/{slug}?limit=20",
    "/api/v1/logs/{slug}?limit=20&after={cursor}",
    "/api/v1/logs/{slug}/{pk}",
    "/api/v1/logs/{slug}/stats",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_page_counts_all_calls_or_skips_over_any(
    filled: Project, owner: User, client_of: Callable[[User], Client], address: str
) -> None:
    record = LogRecord.objects.latest("pk")
    cursor = f"{int(record.occurred_at.timestamp() * 10**6)}-{record.pk}"
    client = client_of(owner)

    with CaptureQueriesContext(connection) as caught:
        answer = client.get(address.format(slug=filled.slug, pk=record.pk, cursor=cursor))

    assert answer.status_code == 200
    asked = [one["sql"] for one in caught.captured_queries if "ingestion_log" in one["sql"]]
    assert asked
    assert not [sql for sql in asked if re.search(r"\bOFFSET\b", sql)]
    # a figure over calls stops reading at a limit, or is one of few groups that the analytics engine bounds
    assert not [sql for sql in asked if re.search(r"\bCOUNT\(", sql, re.IGNORECASE) and "LIMIT" not in sql]


PLANS = {
    "the list": (lambda logs: logs.order_by("-occurred_at", "-pk")[:51], "log_by_time"),
    "a model": (lambda logs: logs.filter(model="gpt-4o-mini").order_by("-occurred_at", "-pk")[:51], "log_by_model"),
    "later versions": (lambda logs: logs.order_by("-occurred_at", "-pk")[:51], "log_later_versions"),
    "a conversation": (lambda logs: logs.filter(trace=3).order_by("occurred_at", "pk")[:50], "log_by_trace"),
}


@pytest.mark.parametrize(("ask", "index"), PLANS.values(), ids=PLANS.keys())
def test_sqlite_takes_the_index_that_is_there_for_the_question(
    filled: Project, ask: Callable[..., object], index: str
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL scans so few rows; docs/data-model.md shows its plans")

    plan = ask(LogRecord.objects.filter(project=filled).newest()).explain()  # type: ignore[attr-defined]

    assert index in plan


def test_the_last_call_of_a_conversation_is_found_by_it_in_tables_that_nobody_analyzed_yet(project: Project) -> None:
    """As after a first import: there PostgreSQL reads all calls of a project for each conversation, where it may."""
    rows = encoded(*(portkey_row(n, trace_id=f"trace-{n}") for n in range(600)))
    store.append(project, rows, format="portkey", source="file", label="l", simulated=False, now=NOW)

    with CaptureQueriesContext(connection) as caught:
        found, _ = grouping._sample(project)
    asked = [one["sql"] for one in caught.captured_queries if "LIMIT 1)" in one["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"{connection.ops.explain_query_prefix()} {asked[0]}")
        plan = str(cursor.fetchall())

    assert len(found) == 600
    assert len(asked) == 2
    assert "log_by_trace" in plan
    assert "project_id" not in plan
