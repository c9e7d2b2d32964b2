"""Use cases in the browser: the list, one of them, and what a person changes."""

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from ingestion import rollups, usecases
from projects.models import Project, User
from tests.browser import checks
from tests.ingestion.test_usecases import NOW, row, rows_of, take_in

Inspect = Callable[..., list[str]]
HOSTILE = "</script><script>document.title = 'owned'</script><img src=x onerror=alert(1)> refund money charged invoice"


@pytest.fixture
def grouped(project: Project) -> Project:
    take_in(project, [*rows_of(120), row(999, HOSTILE)])
    usecases.refresh(project, now=NOW)
    rollups.refresh(project)
    return project


def test_the_list_and_one_use_case_are_sound(grouped: Project, as_owner: None, inspect: Inspect) -> None:
    one, other = usecases.shown(grouped)[:2]
    usecases.rename(one, "W" * 80, by=None)
    usecases.merge(one, [other], by=None)

    wrong = inspect(reverse("ingestion:use-cases", args=[grouped.slug]), name="use-cases")
    wrong += inspect(reverse("ingestion:use-case", args=[grouped.slug, one.number]), name="use-case")

    assert not wrong, checks.listed(wrong)


def test_an_empty_and_a_hashed_project_are_sound(project: Project, as_owner: None, inspect: Inspect) -> None:
    wrong = inspect(reverse("ingestion:use-cases", args=[project.slug]), name="use-cases-empty")
    Project.objects.filter(pk=project.pk).update(privacy="hashed")
    wrong += inspect(reverse("ingestion:use-cases", args=[project.slug]), name="use-cases-hashed")

    assert not wrong, checks.listed(wrong)


def test_a_time_swaps_the_figures_and_stands_in_the_address(
    page: Page, live_server: Any, grouped: Project, as_owner: None
) -> None:
    page.goto(live_server.url + reverse("ingestion:use-cases", args=[grouped.slug]))

    page.get_by_label("Time", exact=True).select_option("24h")

    expect(page.locator("#results tbody").get_by_text("0", exact=True).first).to_be_visible()
    assert "range=24h" in page.url


def test_merging_and_taking_out_by_keyboard(
    page: Page, live_server: Any, grouped: Project, member: User, sign_in: Callable[[User], None]
) -> None:
    one, other = usecases.shown(grouped)[:2]
    sign_in(member)
    page.goto(live_server.url + reverse("ingestion:use-case", args=[grouped.slug, one.number]))

    page.get_by_label(other.name).focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Merge into this one").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Stands for")).to_be_visible()
    page.get_by_role("button", name=f"Take out {other.name}").click()
    expect(page.get_by_text("stands for itself again")).to_be_visible()
    assert page.title().startswith(one.name)
