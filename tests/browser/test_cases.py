"""Cases of an evaluation in the browser: the list and one of them, hostile texts included; keys lead on."""

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
from tests.evaluation import studies

Inspect = Callable[..., list[str]]
HOSTILE = "</script><script>document.title = 'owned'</script>" + "w" * 200


@pytest.fixture
def ended(project: Project, sandbox: Sandbox, tmp_path: Path) -> Evaluation:
    evaluation, gateway = study(project, sandbox, tmp_path, "corvus-medium", "lumen-flash")
    studies.run_to_end(evaluation, gateway)
    Replay.objects.filter(sample__evaluation=evaluation, sample__position=1, candidate__position=1).update(
        answer=HOSTILE, adapted="1:temperature_lowered"
    )
    Replay.objects.filter(sample__evaluation=evaluation, sample__position=2, candidate__position=1).update(
        status="failed", reason="server_error", answer="", message=HOSTILE
    )
    return evaluation


def test_cases_and_how_they_were_asked_are_sound(ended: Evaluation, as_owner: None, inspect: Inspect) -> None:
    place = [ended.project.slug, ended.number]

    wrong = inspect(reverse("evaluation:cases", args=place), name="cases")
    wrong += inspect(reverse("evaluation:replay", args=place), name="replay")
    for position in (0, 1, 2):  # a common one, a hostile one, one that failed
        wrong += inspect(reverse("evaluation:case", args=[*place, position]) + "?with=1", name=f"case-{position}")

    assert not wrong, checks.listed(wrong)


def test_keys_lead_to_the_next_case_and_back(page: Page, live_server: Any, ended: Evaluation, as_owner: None) -> None:
    page.goto(live_server.url + reverse("evaluation:cases", args=[ended.project.slug, ended.number]) + "?sort=case")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_title("Case 0 of evaluation 1 · agentopt")

    page.keyboard.press("]")
    expect(page).to_have_title("Case 1 of evaluation 1 · agentopt")
    page.keyboard.press("[")
    expect(page).to_have_title("Case 0 of evaluation 1 · agentopt")
