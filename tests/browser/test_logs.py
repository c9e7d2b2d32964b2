"""Logs in the browser: a list with filters, a call beside it, hostile text."""

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from agentopt.sandbox import worlds
from ingestion import services
from ingestion.catalog import loader
from projects.models import Project, User
from tests.browser import checks
from tests.evaluation import studies

Inspect = Callable[..., list[str]]
HOSTILE = "</script><script>document.title = 'owned'</script><img src=x onerror=alert(1)> refund"


@pytest.fixture
def filled(project: Project) -> Project:
    """The project with the last 260 calls of the invented agent and a hostile one."""
    loader.load(worlds.catalog(), project=project)
    services.push(project, studies.support_log(260))
    services.push(project, [studies.chat_row(1, HOSTILE, "{{ 7 * 7 }}<b>bold</b>")])
    return project


def address(server: Any, name: str, *args: Any) -> str:
    return str(server.url) + reverse(name, args=args)


def test_the_list_and_a_call_are_sound(filled: Project, as_owner: None, inspect: Inspect) -> None:
    newest = filled.logs.order_by("-occurred_at", "-pk")[3]

    wrong = inspect(reverse("ingestion:logs", args=[filled.slug]), name="logs")
    wrong += inspect(reverse("ingestion:log", args=[filled.slug, newest.pk]), name="log")

    assert not wrong, checks.listed(wrong)


def test_an_empty_project_says_how_logs_get_in(page: Page, project: Project, as_owner: None, inspect: Inspect) -> None:
    wrong = inspect(reverse("ingestion:logs", args=[project.slug]), name="logs-empty")

    assert not wrong, checks.listed(wrong)
    expect(page.get_by_text("import_logs support-agent FILE.jsonl")).to_be_visible()


def test_a_filter_swaps_the_results_and_stands_in_the_address(
    page: Page, live_server: Any, filled: Project, as_owner: None
) -> None:
    page.goto(address(live_server, "ingestion:logs", filled.slug))

    page.get_by_label("Status", exact=True).select_option("failed")

    expect(page.locator("tbody .badge", has_text="ok")).to_have_count(0)
    assert "status=failed" in page.url
    expect(page.locator(".top")).to_have_count(1)
    page.go_back()
    expect(page.locator("tbody .badge", has_text="ok").first).to_be_visible()


def test_a_call_opens_beside_the_list_and_follows_the_keys(
    page: Page, live_server: Any, filled: Project, as_owner: None, shot: Callable[[str], None]
) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(address(live_server, "ingestion:logs", filled.slug))

    page.locator("a.rowlink").nth(2).click()

    drawer = page.locator("#drawer")
    expect(drawer.get_by_role("heading", name="Messages")).to_be_visible()
    shot("logs-drawer")
    assert not checks.axe(page)
    first = drawer.locator("h2 .mono").inner_text()
    page.keyboard.press("j")
    expect(drawer.locator("h2 .mono")).not_to_have_text(first)
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def test_hostile_text_is_shown_and_does_nothing(page: Page, live_server: Any, filled: Project, as_owner: None) -> None:
    record = filled.logs.get(source_id="call-1")

    page.goto(address(live_server, "ingestion:log", filled.slug, record.pk))

    expect(page.locator(".msg.user")).to_contain_text("</script><script>document.title")
    expect(page.locator(".msg.model")).to_contain_text("{{ 7 * 7 }}<b>bold</b>")
    assert "owned" not in page.title()


def test_the_list_works_without_a_script(
    browser: Any, live_server: Any, filled: Project, owner: User, client_of: Callable[[User], Any]
) -> None:
    session = client_of(owner).cookies["sessionid"].value
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    page = context.new_page()
    page.goto(address(live_server, "ingestion:logs", filled.slug))

    page.get_by_label("Words in the prompt").fill("refund")
    page.get_by_role("button", name="Filter").click()
    page.locator("a.rowlink").first.click()

    expect(page.get_by_role("heading", name="Usage and cost")).to_be_visible()
    context.close()
