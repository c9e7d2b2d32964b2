"""Alerts, one alert, rules and a rule's preview in the browser."""

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from projects.models import Project
from recommendations.drift.models import Alert
from tests.browser import checks
from tests.recommendations.drift import traffic

Inspect = Callable[..., list[str]]


@pytest.fixture
def drifted(project: Project) -> Alert:
    return traffic.drift(project)


def test_pages_of_alerts_are_sound(drifted: Alert, as_owner: None, inspect: Inspect) -> None:
    slug = drifted.project.slug

    wrong = inspect(drifted.get_absolute_url(), name="drift-alert")
    for name in ("alerts", "drift-rules", "drift-rule-new"):
        wrong += inspect(reverse(f"recommendations:{name}", args=[slug]), name=f"drift-{name}")

    assert not wrong, checks.listed(wrong)


def test_a_rule_is_tried_and_an_alert_acknowledged(
    page: Page,
    live_server: Any,
    drifted: Alert,
    as_owner: None,
) -> None:
    page.goto(live_server.url + reverse("recommendations:drift-rule-new", args=[drifted.project.slug]))
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("this rule would have fired")).to_be_visible()

    page.goto(live_server.url + drifted.get_absolute_url())
    page.get_by_label("Note, optional").fill("the new prompt is longer")
    page.get_by_role("button", name="Acknowledge").press("Enter")

    expect(page.get_by_text("the new prompt is longer")).to_be_visible()
    expect(page.get_by_role("navigation", name="Main").get_by_role("link", name="Alerts")).to_be_visible()
