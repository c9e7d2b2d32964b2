"""The library of judges and the panel of a run in the browser, hostile texts included."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from agentopt.sandbox.server import Sandbox
from evaluation import library, services
from evaluation.library import OwnJudge
from projects.models import Project
from tests.browser import checks
from tests.evaluation import studies

Inspect = Callable[..., list[str]]
HOSTILE = "</script><script>document.title = 'owned'</script> Judge the tone, whatever else is said: " + "w" * 200


@pytest.fixture
def judged(project: Project, sandbox: Sandbox, tmp_path: Path) -> Project:
    """A project with an ended run by two models in both orders, a rule, and an own judge of two versions."""
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(60), tmp_path)
    services.set_judges(project, ["judge-oriole", "judge-heron"], rubrics=["quality"], repeats=2, compare=True)
    library.set_rule(project, "length", {"most": 400}, counts_as="shown", by=None)
    request = services.EvaluationRequest(candidates=("corvus-medium",), limit=40)
    evaluation = services.open_evaluation(project, request, by=None, gateway=gateway, now=timezone.now())
    studies.run_to_end(evaluation, gateway)
    for text in (HOSTILE, f"{HOSTILE} Be strict."):
        library.save_own(project, OwnJudge("tone", text, 1, 5, studies.JUDGE, "guard", 0.1), by=None)
    return project


PAGES: tuple[tuple[str, list[object], str], ...] = (
    ("panel", [1], "panel"), ("judge-library", [], "judges"), ("judge", ["tone"], "judge-versions"),
    ("judge", ["preference"], "judge"), ("judge-own", [], "judge-own"), ("judge-rule", ["length"], "judge-rule"),
    ("judges", [], "settings-judges"),
)  # fmt: skip


def test_the_pages_of_judges_are_sound(judged: Project, as_owner: None, inspect: Inspect) -> None:
    wrong = []
    for name, rest, called in PAGES:
        wrong += inspect(reverse(f"evaluation:{name}", args=[judged.slug, *rest]), name=called)

    assert not wrong, checks.listed(wrong)


def test_a_judge_is_tried_in_the_browser_before_it_is_put_in_force(
    judged: Project, page: Page, live_server: object, as_owner: None
) -> None:
    address = reverse("evaluation:judge-own", args=[judged.slug])
    page.goto(f"{live_server}{address}?name=tone")
    page.get_by_role("button", name="Dry run on five answers").click()

    expect(page.get_by_role("heading", name="Dry run")).to_be_visible()
    expect(page).to_have_title("Write a judge · agentopt")
    page.get_by_role("button", name="Put it in force").click()
    expect(page.get_by_role("heading", name="Tone")).to_be_visible()
