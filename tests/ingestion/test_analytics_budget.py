"""What questions may cost, how one is stopped, and that none reaches beyond its project; the command."""

import json
import re
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings

from agentopt.lib.errors import Invalid, NotFound
from ingestion import analytics
from ingestion.analytics import budget
from ingestion.models import AnalyticsRun
from projects.models import Project
from tests.ingestion import questions
from tests.ingestion.test_analytics_engine import NOW, ask, calls, keep

ROWS_ONLY = {"kind": "percentiles", "metric": "latency", "group_by": ["metadata.team"]}


def test_too_many_rows_are_refused_with_the_question_that_fits(agent: Project, settings: Any) -> None:
    keep(agent, calls())
    settings.ANALYTICS_MAX_ROWS = 100

    with pytest.raises(budget.TooManyRows) as caught:
        ask(agent, **ROWS_ONLY)

    proposal = caught.value.proposal
    assert proposal is not None
    fits = ask(agent, **proposal)
    assert 80 <= fits["n"] + fits["unknown"] <= 100
    assert fits["window"]["since"] == proposal["since"]


def test_a_question_about_few_models_may_take_a_longer_window(agent: Project, settings: Any) -> None:
    keep(agent, calls())
    settings.ANALYTICS_MAX_ROWS = 100

    assert ask(agent, **ROWS_ONLY, filters={"model": ["alpha"]})["n"] > 0


def test_a_day_has_an_end(agent: Project, settings: Any) -> None:
    keep(agent, calls())
    settings.ANALYTICS_DAY_ROWS = 500
    settings.ANALYTICS_CACHE_ENTRIES = 0
    for limit in (1, 2):
        ask(agent, **ROWS_ONLY, limit=limit)

    with pytest.raises(budget.DayUsedUp) as caught:
        ask(agent, **ROWS_ONLY)

    assert "midnight" in caught.value.message
    tomorrow = analytics.answer(agent, analytics.read(ROWS_ONLY), now=NOW + timedelta(days=1))
    assert tomorrow["n"] > 0
    assert AnalyticsRun.objects.count() == 3


def test_what_is_kept_costs_nothing(agent: Project) -> None:
    keep(agent, calls(20))

    for _ in range(3):
        ask(agent, **ROWS_ONLY)

    assert AnalyticsRun.objects.count() == 1


def _make_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that takes long over every question."""
    many = {"sqlite": "SELECT COUNT(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
            "WHERE i < 200000000) SELECT i FROM n)", "postgresql": "SELECT pg_sleep(60)"}  # fmt: skip

    def slow(*_given: Any, **_named: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(many[connection.vendor])

    monkeypatch.setattr("ingestion.analytics.rows.Rows.totals", slow)


@pytest.mark.django_db(transaction=True)
def test_a_question_ends_at_its_deadline_and_the_connection_is_as_before(
    agent: Project, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(agent, calls(10))
    settings.ANALYTICS_MAX_S = 0.3
    with monkeypatch.context() as patch:
        _make_slow(patch)
        with pytest.raises(budget.TookTooLong):
            ask(agent, kind="aggregation", metric="cost", group_by=["metadata.team"])

    assert ask(agent, kind="aggregation", metric="calls", group_by=["metadata.team"])["n"] == 10
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("0",)


@pytest.mark.django_db(transaction=True)
def test_a_running_question_is_stopped_by_its_token(
    reader: Any, project: Project, client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(project, calls(10))
    _make_slow(monkeypatch)
    answers = []

    def stop() -> None:
        client = client_of(reader)
        while not AnalyticsRun.objects.filter(token="tab-7").exists():
            time.sleep(0.05)
        answers.append(
            client.post(f"/api/v1/analytics/{project.slug}/cancel", {"token": "tab-7"}, content_type="application/json")
        )
        connection.close()

    other = threading.Thread(target=stop)
    other.start()
    question = {"project": project.slug, "kind": "aggregation", "metric": "cost", "group_by": ["metadata.team"]}
    found = client_of(reader).post(
        "/api/v1/analytics", question, content_type="application/json", headers={"X-Question-Token": "tab-7"}
    )
    other.join()

    assert (found.status_code, found.json()["error"]["code"]) == (409, "stopped")
    assert (answers[0].status_code, answers[0].json()) == (202, {"stopping": 1})
    with pytest.raises(NotFound):
        analytics.cancel(project, "tab-7")


# ------------------------------------------------------------------------------------------------ nothing else
@pytest.mark.django_db
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(question=questions.allowed() | questions.hostile())
def test_no_question_reaches_beyond_the_project(
    question: Any, project: Project, reader: Any, client_of: Callable[..., Client]
) -> None:
    if not project.logs.exists():
        keep(project, calls(40))
    client = client_of(reader)
    body = {**question, "project": project.slug} if isinstance(question, dict) else question

    with CaptureQueriesContext(
        connection,
    ) as seen:
        found = client.post("/api/v1/analytics", json.dumps(body), content_type="application/json")

    assert found.status_code in (200, 400, 409, 422)
    if found.status_code != 200:
        assert found.json()["error"]["fields"] or found.status_code == 409
    for query in seen.captured_queries:
        if "ingestion_logrecord" in query["sql"]:
            assert re.search(rf"""project_id"? = {project.pk}\b""", query["sql"]), query["sql"]


def test_an_error_over_the_api_holds_the_question_that_fits(
    project: Project, reader: Any, client_of: Callable[..., Client], settings: Any
) -> None:
    keep(project, calls())
    settings.ANALYTICS_MAX_ROWS = 100
    body = {**ROWS_ONLY, "project": project.slug}

    found = client_of(reader).post("/api/v1/analytics", body, content_type="application/json")

    assert (found.status_code, found.json()["error"]["code"]) == (422, "too_many_rows")
    again = {**found.json()["error"]["proposal"], "project": project.slug}
    assert client_of(reader).post("/api/v1/analytics", again, content_type="application/json").status_code == 200


# ------------------------------------------------------------------------------------------------ command
def test_the_command_answers_a_file_and_standard_input(
    agent: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(agent, calls(30))
    text = json.dumps({"kind": "aggregation", "metric": "calls", "group_by": ["model"]})
    path = tmp_path / "question.json"
    path.write_text(text)
    monkeypatch.setattr("sys.stdin", StringIO(text))
    whole, plain = StringIO(), StringIO()

    call_command("analyze", agent.slug, str(path), "--json", stdout=whole)
    call_command("analyze", agent.slug, "-", stdout=plain)

    assert json.loads(whole.getvalue())["n"] == 30
    assert "aggregation over 30 calls" in plain.getvalue()
    assert "model:alpha" in plain.getvalue()


def test_the_command_says_what_is_wrong(agent: Project, tmp_path: Path) -> None:
    bad, none = tmp_path / "bad.json", tmp_path / "none.json"
    bad.write_text("{")
    none.write_text('{"kind": "sql"}')

    for name, said in ((tmp_path / "absent", "cannot be read"), (bad, "no JSON"), (none, "aggregation, percentiles")):
        with pytest.raises(CommandError, match=said):
            call_command("analyze", agent.slug, str(name))


def test_too_many_groups_are_refused_by_name(agent: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(agent, calls(30))
    monkeypatch.setattr("ingestion.analytics.rows.MAX_GROUPS", 2)
    monkeypatch.setattr("ingestion.analytics.rows.Rows._rows.__kwdefaults__", {"limit": 2}, raising=False)

    with pytest.raises(Invalid) as caught:
        ask(agent, kind="aggregation", metric="calls", group_by=["metadata.team"])

    assert "group_by" in caught.value.fields
