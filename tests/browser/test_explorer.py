"""Analytics, imports and coverage in the browser."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from agentopt.sandbox import worlds
from ingestion import rollups, services
from ingestion.catalog import loader
from ingestion.models import LogRecord
from projects.models import Project
from tests.browser import checks
from tests.evaluation import studies

Inspect = Callable[..., list[str]]


@pytest.fixture
def filled(project: Project) -> Project:
    """The project with the last 260 calls of the invented agent, one that names itself like markup, and a bad row."""
    loader.load(worlds.catalog(), project=project)
    services.push(project, studies.support_log(260))
    services.push(project, [studies.chat_row(1, "refund", "ok") | {"ai_model": "<b>%{x}</b>"}, {"request": 7}])
    rollups.refresh(project)
    return project


def test_the_analytics_page_is_sound_for_every_kind(filled: Project, as_owner: None, inspect: Inspect) -> None:
    address = reverse("ingestion:analytics", args=[filled.slug])

    wrong = inspect(f"{address}?by=model&range=90d", name="analytics")
    for kind in ("percentiles", "distribution", "correlation"):
        wrong += inspect(f"{address}?kind={kind}&by=model&range=90d", name=f"analytics-{kind}")

    assert not wrong, checks.listed(wrong)


def test_pages_about_imports_are_sound(filled: Project, as_owner: None, inspect: Inspect) -> None:
    wrong = []
    for name in ("import", "set-aside", "coverage"):
        wrong += inspect(reverse(f"ingestion:{name}", args=[filled.slug]), name=name)

    assert not wrong, checks.listed(wrong)


def test_a_choice_in_the_sentence_swaps_the_answer_and_stands_in_the_address(
    page: Page, live_server: Any, filled: Project, as_owner: None
) -> None:
    page.goto(f"{live_server.url}{reverse('ingestion:analytics', args=[filled.slug])}?range=90d")

    page.get_by_label("Metric", exact=True).select_option("calls")

    expect(page.get_by_role("heading", name="Calls per day")).to_be_visible()
    assert "metric=calls" in page.url
    expect(page.locator(".top")).to_have_count(1)


def test_a_look_at_a_large_file_sends_only_its_start(
    page: Page, live_server: Any, project: Project, as_owner: None, tmp_path: Path
) -> None:
    file = tmp_path / "export.jsonl"
    file.write_text("\n".join(json.dumps(studies.chat_row(number, "x" * 2000, "ok")) for number in range(3000)))
    page.goto(f"{live_server.url}{reverse('ingestion:import', args=[project.slug])}")
    page.locator("input[type=file]").set_input_files(file)

    with page.expect_request(lambda asked: asked.method == "POST") as sent:
        page.get_by_role("button", name="Look first").click()
    expect(page.get_by_text("Nothing is stored yet")).to_be_visible()

    assert file.stat().st_size > 5 * 1024 * 1024
    assert int(sent.value.headers.get("content-length") or sent.value.all_headers()["content-length"]) < 4_300_000
    assert not LogRecord.objects.exists()

    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("3,000 calls added")).to_be_visible()
