"""The labeling page by keyboard, and the page of accuracy cards, in the browser."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from agentopt.sandbox.server import Sandbox
from evaluation import anchors
from evaluation.models import Evaluation, HumanLabel, Replay
from projects.models import Project
from tests.browser import checks
from tests.evaluation import people, studies

Inspect = Callable[..., list[str]]
HOSTILE = "</script><script>document.title = 'owned'</script>" + "w" * 200


def _judge(place: int, candidate: bool) -> float | None:
    return 0.3 + place / 200 + (0.2 if place % 3 else -0.2) * candidate


@pytest.fixture
def judged(project: Project, sandbox: Sandbox, tmp_path: Path) -> Evaluation:
    """A judged evaluation, with hostile answers."""
    studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(60), tmp_path)
    evaluation = people.study(project, sandbox, _judge)
    Replay.objects.filter(sample__evaluation=evaluation, candidate__position=1).update(answer=HOSTILE)
    return evaluation


def _label(evaluation: Evaluation) -> str:
    return reverse("evaluation:label", args=[evaluation.project.slug, evaluation.number])


def test_the_labeling_page_is_sound(judged: Evaluation, as_owner: None, inspect: Inspect) -> None:
    wrong = inspect(_label(judged), name="label")

    assert not wrong, checks.listed(wrong)


def test_a_pair_is_labeled_by_three_keys(page: Page, live_server: Any, judged: Evaluation, as_owner: None) -> None:
    page.goto(live_server.url + _label(judged))
    page.keyboard.press("4")
    page.keyboard.press("2")
    page.keyboard.press("0")  # a change of mind
    page.keyboard.press("5")
    page.keyboard.press("1")
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("saved="))
    left, right = (HumanLabel.objects.get(stood_left=side) for side in (True, False))
    assert (left.score, right.score) == (1.0, 0.0)
    expect(page.get_by_label("The pair before")).to_contain_text("corvus-medium")
    page.keyboard.press("x")
    expect(page).to_have_url(re.compile("passed="))


def test_the_accuracy_cards_are_sound(judged: Evaluation, sandbox: Sandbox, as_owner: None, inspect: Inspect) -> None:
    people.label(
        judged, people.answered(judged), lambda place, candidate: 0.5 + (0.25 if place % 3 else -0.25) * candidate
    )
    people.label(judged, people.answered(judged)[:31], _judge, rater="ann")
    anchors.keep(judged)
    gateway = studies.connect(judged.project, sandbox.url)
    studies.open_study(judged.project, gateway, judges=["judge-heron"], rubrics=["correctness"], limit=40)

    wrong = inspect(reverse("evaluation:accuracy", args=[judged.project.slug]), name="accuracy")

    assert not wrong, checks.listed(wrong)
