"""An evaluation that stands still with failures, in the browser: summary and tabs, hostile names included."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from agentopt.sandbox.server import Sandbox
from evaluation.models import Evaluation, Replay
from projects.models import Project
from tests.browser import checks
from tests.browser.test_pages import study

Inspect = Callable[..., list[str]]
HOSTILE = "</script><script>document.title = 'owned'</script>" + "w" * 60


@pytest.fixture
def stopped(project: Project, sandbox: Sandbox, tmp_path: Path) -> Evaluation:
    """Paused after four failures, with calls left out beforehand."""
    evaluation, _ = study(project, sandbox, tmp_path, "corvus-medium", "lumen-flash")
    first = evaluation.candidates.select_related("offer").get(position=1)
    type(first.offer).objects.filter(pk=first.offer_id).update(name=HOSTILE[:160])
    Replay.objects.bulk_create(
        Replay(sample=sample, candidate=first, status="missing", reason="rate_limited", source="called", calls=3)
        for sample in evaluation.samples.order_by("position")[:4]
    )
    left_out = [
        {"code": "images", "label": "holds images", "calls": 60, "cost_share": 0.25},
        {"code": "truncated", "label": "body truncated", "calls": 9, "cost_share": None},
    ]
    population = {**evaluation.population, "left_out": left_out, "calls": 209, "replayable": 140}
    Evaluation.objects.filter(pk=evaluation.pk).update(state="paused", population=population)
    evaluation.refresh_from_db()
    return evaluation


def test_a_stopped_evaluation_is_sound_on_every_tab(stopped: Evaluation, as_owner: None, inspect: Inspect) -> None:
    wrong: list[str] = []
    for tab in ("detail", "coverage", "costs", "activity"):
        address = reverse(f"evaluation:{tab}", args=[stopped.project.slug, stopped.number])
        wrong += inspect(address, name=f"evaluation-{tab}")

    assert not wrong, checks.listed(wrong)


def test_tabs_and_retry_are_reached_by_keyboard(
    page: Page, live_server: Any, stopped: Evaluation, as_owner: None
) -> None:
    page.goto(live_server.url + stopped.get_absolute_url())

    expect(page.get_by_role("button", name="Retry 4 failed cases")).to_be_visible()
    page.get_by_role("navigation", name=f"Evaluation {stopped.number}").get_by_role("link", name="Coverage").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Could not be replayed")).to_be_visible()
    assert page.title().startswith("Coverage of evaluation")
