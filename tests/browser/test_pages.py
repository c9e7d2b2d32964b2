"""Overview, evaluations and recommendations in the browser, over a study that really ran on a sandbox."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from agentopt.sandbox.server import Sandbox
from evaluation import run
from evaluation.models import Evaluation
from projects import services as projects
from projects.models import Project, User
from recommendations import services
from recommendations.models import Recommendation
from tests.browser import checks
from tests.evaluation import studies

Inspect = Callable[..., list[str]]


def study(project: Project, sandbox: Sandbox, folder: Path, *candidates: str) -> tuple[Evaluation, Any]:
    """An opened evaluation on the last 140 calls of the invented agent."""
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(140), folder)
    return studies.open_study(project, gateway, candidates=candidates, rubrics=None, limit=100), gateway


@pytest.fixture
def switch(project: Project, sandbox: Sandbox, tmp_path: Path) -> Recommendation:
    """A model that serves the agent as well for less."""
    evaluation, gateway = study(project, sandbox, tmp_path, "corvus-medium", "lumen-flash")
    return services.recommend(studies.run_to_end(evaluation, gateway), now=timezone.now())


@pytest.fixture
def undecided(owner: User, sandbox: Sandbox, tmp_path: Path) -> Recommendation:
    """Cheaper models that are no match."""
    project = projects.create_project("Returns desk", owner=owner)
    evaluation, gateway = study(project, sandbox, tmp_path, "lumen-flash", "tern-70b")
    return services.recommend(studies.run_to_end(evaluation, gateway), now=timezone.now())


@pytest.fixture
def half_way(project: Project, sandbox: Sandbox, tmp_path: Path) -> Evaluation:
    """An evaluation after its first slice."""
    evaluation, gateway = study(project, sandbox, tmp_path, "corvus-medium", "lumen-flash")
    run.advance(evaluation, gateway=gateway, now=timezone.now, deadline=time.monotonic() + 0.2, beat=studies.silent)
    Evaluation.objects.filter(pk=evaluation.pk).update(state=Evaluation.State.RUNNING)
    evaluation.refresh_from_db()
    return evaluation


def place(name: str, project: Project, *args: Any) -> str:
    return reverse(name, args=[project.slug, *args])


def test_pages_of_an_empty_project_are_sound(project: Project, as_owner: None, inspect: Inspect) -> None:
    wrong = inspect(place("recommendations:overview", project), name="overview-empty")
    wrong += inspect(place("evaluation:list", project), name="evaluations-empty")
    wrong += inspect(place("evaluation:create", project), name="evaluation-new-empty")
    wrong += inspect(place("recommendations:list", project), name="recommendations-empty")

    assert not wrong, checks.listed(wrong)


def test_pages_of_a_switch_are_sound(switch: Recommendation, as_owner: None, inspect: Inspect) -> None:
    project = switch.project
    assert switch.kind == Recommendation.Kind.SWITCH

    wrong = inspect(switch.get_absolute_url(), name="recommendation")
    wrong += inspect(place("recommendations:overview", project), name="overview")
    wrong += inspect(place("recommendations:list", project), name="recommendations")
    wrong += inspect(place("evaluation:list", project), name="evaluations")
    wrong += inspect(place("evaluation:create", project), name="evaluation-new")
    wrong += inspect(switch.evaluation.get_absolute_url(), name="evaluation-done")

    assert not wrong, checks.listed(wrong)


def test_no_recommendation_is_sound(undecided: Recommendation, as_owner: None, inspect: Inspect) -> None:
    assert undecided.kind == Recommendation.Kind.NONE

    wrong = inspect(undecided.get_absolute_url(), name="no-recommendation")

    assert not wrong, checks.listed(wrong)


def test_an_evaluation_in_progress_is_sound(half_way: Evaluation, as_owner: None, inspect: Inspect) -> None:
    wrong = inspect(half_way.get_absolute_url(), name="evaluation-running")

    assert not wrong, checks.listed(wrong)


def test_a_recommendation_is_acknowledged_by_the_keyboard(
    page: Page, live_server: Any, switch: Recommendation, as_owner: None, shot: Callable[[str], None]
) -> None:
    page.goto(live_server.url + switch.get_absolute_url())

    page.get_by_role("link", name="Acknowledge").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    shot("recommendation-dialog")
    assert not checks.axe(page)
    dialog.get_by_label("Note").fill("We switch on Monday.")
    dialog.get_by_role("button", name="Acknowledge").click()

    expect(page.get_by_text("acknowledged").first).to_be_visible()
    assert switch.decisions.get().note == "We switch on Monday."
    assert switch.decisions.get().kind == "acknowledged"


def test_a_running_evaluation_asks_for_its_part_and_stops_when_it_ends(
    page: Page, live_server: Any, half_way: Evaluation, as_owner: None
) -> None:
    page.goto(live_server.url + half_way.get_absolute_url())
    expect(page.get_by_role("button", name="Pause")).to_be_visible()

    Evaluation.objects.filter(pk=half_way.pk).update(state=Evaluation.State.CANCELLED)

    expect(page.get_by_role("button", name="Pause")).to_be_hidden(timeout=15_000)
