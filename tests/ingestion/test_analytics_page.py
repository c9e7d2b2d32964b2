"""The analytics page: a sentence, its answer, its file, and views that people keep."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from ingestion import services
from ingestion.models import SavedView
from projects.models import AuditEntry, Project, User
from tests.ingestion.conftest import portkey_row

PAGE = "/p/support-agent/analytics/"


@pytest.fixture
def logs(project: Project) -> Project:
    """Six calls of two models within the last days, one of them named like a formula."""
    now = timezone.now()
    rows = [
        portkey_row(
            number,
            ai_model="gpt-4o-mini" if number < 4 else "=1+1<script>",
            created_at=(now - timedelta(hours=number)).isoformat(),
            response_time=1000.0 * number,
        )
        for number in range(6)
    ]
    services.push(project, rows)
    return project


def page(client: Client, query: str = "", **headers: Any) -> str:
    response = client.get(f"{PAGE}?{query}", headers=headers)
    assert response.status_code == 200, response.content
    return response.content.decode()


def test_the_sentence_says_what_the_answer_is_about(
    logs: Project, reader: User, client_of: Callable[[User], Client]
) -> None:
    text = page(client_of(reader), "metric=calls&by=model&range=7d")

    assert "gpt-4o-mini" in text
    assert "66.7" in text  # four of six calls
    assert '"group_by": [' in text.replace("&quot;", '"')
    assert "=1+1&lt;script&gt;" in text
    assert "<script>" not in text.replace('<script src="', "").replace('<script id="', "").split("=1+1")[1][:20]


@pytest.mark.parametrize("kind", ["time", "percentiles", "distribution"])
def test_every_kind_has_a_figure_and_a_table(
    logs: Project, reader: User, client_of: Callable[[User], Client], kind: str
) -> None:
    text = page(client_of(reader), f"kind={kind}&by=model")

    assert 'class="chart' in text
    assert "Show as table" in text
    assert "POST /api/v1/analytics" in text


def test_what_the_address_gets_wrong_is_said_and_ignored(
    logs: Project, reader: User, client_of: Callable[[User], Client]
) -> None:
    text = page(client_of(reader), "metric=wisdom&colour=red&range=7d")

    assert "colour, metric: no such choice, ignored" in text


def test_htmx_gets_the_answer_alone(logs: Project, reader: User, client_of: Callable[[User], Client]) -> None:
    text = page(client_of(reader), "metric=calls", HX_Request="true")

    assert 'id="results"' in text
    assert "<html" not in text


def test_a_file_holds_the_table_and_no_formula(
    logs: Project, reader: User, client_of: Callable[[User], Client]
) -> None:
    found = list(csv.reader(io.StringIO(page(client_of(reader), "metric=calls&by=model&format=csv"))))

    assert found[0] == ["Model", "Calls", "Share"]
    assert sorted(line[:2] for line in found[1:]) == [["'=1+1<script>", "2"], ["gpt-4o-mini", "4"]]


def test_without_calls_the_page_says_how_to_get_them_in(
    project: Project, reader: User, client_of: Callable[[User], Client]
) -> None:
    assert "No calls yet" in page(client_of(reader))


def test_a_view_is_kept_under_its_name_and_opens_its_question(
    logs: Project, member: User, reader: User, client_of: Callable[[User], Client]
) -> None:
    query = "metric=spend&by=model&format=csv&colour=red"

    for _ in range(2):  # the same name again is the same view
        answer = client_of(member).post(f"{PAGE}views/", {"name": " Spend  by model ", "query": query})

    view = SavedView.objects.get()
    assert (view.name, view.query) == ("Spend by model", "metric=spend&by=model")
    assert answer.headers["Location"] == f"{PAGE}?metric=spend&by=model"
    assert "Spend by model" in page(client_of(reader))
    assert AuditEntry.objects.filter(action="saved_view.save").count() == 2


def test_a_view_can_be_deleted(logs: Project, member: User, client_of: Callable[[User], Client]) -> None:
    client_of(member).post(f"{PAGE}views/", {"name": "One", "query": "metric=calls"})

    client_of(member).post(f"{PAGE}views/{SavedView.objects.get().pk}/delete/")

    assert not SavedView.objects.exists()
    assert AuditEntry.objects.filter(action="saved_view.delete").exists()


@pytest.mark.parametrize("name", ["", "   ", "x" * 61])
def test_a_view_needs_a_name(logs: Project, member: User, client_of: Callable[[User], Client], name: str) -> None:
    client_of(member).post(f"{PAGE}views/", {"name": name, "query": "metric=calls"})

    assert not SavedView.objects.exists()
