"""The analytics page: a sentence, its answer, its file, and views that people keep."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from ingestion import rollups, services
from ingestion.models import SavedView, UseCase, UseCaseAssignment
from projects.models import AuditEntry, Privacy, Project, User
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


def test_an_answer_says_its_source_whether_it_was_kept_and_how_far_it_goes(
    logs: Project, reader: User, client_of: Callable[[User], Client]
) -> None:
    client = client_of(reader)

    first, again = page(client, "kind=percentiles"), page(client, "kind=percentiles")

    assert "From roll-ups" in first
    assert "Computed in" in first
    assert "covers batches up to number 1." in first
    assert "Kept from before" in again


def test_a_question_over_its_budget_is_refused_with_choices_that_fit(
    project: Project, reader: User, client_of: Callable[[User], Client], settings: Any
) -> None:
    now = timezone.now()
    old = [portkey_row(n, created_at=(now - timedelta(days=10)).isoformat()) for n in range(5)]
    services.push(project, [*old, portkey_row(9, created_at=now.isoformat())])
    settings.ANALYTICS_MAX_ROWS = 2
    client = client_of(reader)

    refused = client.get(f"{PAGE}?kind=percentiles&exact=1&range=30d")
    text = refused.content.decode()

    assert refused.status_code == 422
    assert '<a href="?kind=percentiles&amp;range=30d">Answer from roll-ups</a>' in text
    assert "Ask about the last 7 days, which fits" in text
    assert "From roll-ups" in page(client, "kind=percentiles&range=30d")
    assert "Exact, from 1 call" in page(client, "kind=percentiles&exact=1&range=7d")


def test_correlations_have_a_table(logs: Project, reader: User, client_of: Callable[[User], Client]) -> None:
    assert "Correlation, Pearson" in page(client_of(reader), "kind=correlation")


def test_use_cases_are_told_or_refused_with_the_reason(
    logs: Project, reader: User, client_of: Callable[[User], Client]
) -> None:
    client = client_of(reader)

    def shown() -> str:
        return client.get(f"{PAGE}?kind=clustering").content.decode()

    assert "No use cases were looked for yet" in shown()
    Project.objects.filter(pk=logs.pk).update(privacy=Privacy.HASHED)
    assert "keeps prompts as hashes only" in shown()
    Project.objects.filter(pk=logs.pk).update(privacy=Privacy.FULL)
    case = UseCase.objects.create(project=logs, number=1, origin="found", name="orders late")
    UseCaseAssignment.objects.create(record=logs.logs.latest("pk"), use_case=case)
    rollups.rebuild(logs)
    assert "orders late" in shown()


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
