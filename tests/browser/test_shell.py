"""The frame of every page, sign-in, projects and settings."""

from collections.abc import Callable
from typing import Any

from django.urls import reverse
from playwright.sync_api import Page, expect

from projects.models import Project, User
from tests.browser import checks
from tests.team import PASSWORD

Inspect = Callable[..., list[str]]


def test_a_visitor_signs_in_and_sees_their_projects(
    page: Page, live_server: Any, project: Project, owner: User
) -> None:
    page.goto(live_server.url)
    page.get_by_label("E-mail").fill(owner.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", name="Projects", level=1)).to_be_visible()
    expect(page.get_by_role("link", name="Support agent").first).to_be_visible()


def test_sign_in_and_first_start_are_sound(transactional_db: None, inspect: Inspect) -> None:
    wrong = inspect("/login/", name="signin") + inspect("/setup/", name="setup")

    assert not wrong, checks.listed(wrong)


def test_pages_of_projects_and_settings_are_sound(project: Project, as_owner: None, inspect: Inspect) -> None:
    wrong = []
    for name in ("list", "create"):
        wrong += inspect(reverse(f"projects:{name}"), name=f"projects-{name}")
    for name in ("settings", "goal", "limits", "privacy", "tokens", "members"):
        wrong += inspect(reverse(f"projects:{name}", args=[project.slug]), name=f"settings-{name}")
    wrong += inspect(reverse("evaluation:judges", args=[project.slug]), name="settings-judges")
    wrong += inspect(reverse("ingestion:removals", args=[project.slug]), name="settings-removals")

    assert not wrong, checks.listed(wrong)


def test_pages_of_the_account_are_sound(as_owner: None, inspect: Inspect) -> None:
    wrong = inspect("/password/change/", name="password-change") + inspect("/logout/", name="logout")

    assert not wrong, checks.listed(wrong)


def test_problem_pages_are_sound(page: Page, project: Project, as_owner: None, inspect: Inspect) -> None:
    wrong = inspect("/p/nowhere/logs/", name="not-found")
    wrong += inspect(reverse("ingestion:logs", args=[project.slug]) + "?after=x", name="problem")
    refused = [line for line in page.bad if "the server responded with a status" in line]  # type: ignore[attr-defined]

    assert not wrong, checks.listed(wrong)
    assert len(refused) == 4  # Chromium notes a page that is no success; nothing else stands in its console
    page.bad[:] = [line for line in page.bad if line not in refused]  # type: ignore[attr-defined]


def test_a_request_that_fails_is_said_in_a_toast_and_changes_nothing(
    page: Page, live_server: Any, project: Project, as_owner: None
) -> None:
    page.goto(live_server.url + reverse("ingestion:logs", args=[project.slug]))

    page.evaluate("htmx.ajax('GET', '/p/nowhere/logs/', { target: '#main' })")

    expect(page.locator("#toasts [role=alert]")).to_contain_text("The server answered 404. Nothing was changed.")
    expect(page.get_by_role("heading", name="Logs", level=1)).to_be_visible()
    page.bad.clear()  # type: ignore[attr-defined]


def test_axe_finds_planted_faults(page: Page, live_server: Any, transactional_db: None) -> None:
    page.goto(f"{live_server.url}/setup/")
    page.evaluate(
        """() => { const p = document.createElement('p'); p.textContent = 'hardly seen'; p.className = 'planted';
        document.querySelector('main').append(p, document.createElement('button'));
        const sheet = new CSSStyleSheet(); sheet.replaceSync('.planted { color: rgb(200 200 200); background: white }');
        document.adoptedStyleSheets.push(sheet); }"""
    )

    found = " ".join(checks.axe(page))

    assert "color-contrast" in found
    assert "button-name" in found


def test_the_theme_is_kept_in_a_cookie_that_the_server_reads(
    page: Page, live_server: Any, project: Project, as_owner: None
) -> None:
    page.goto(live_server.url)
    page.get_by_role("button", name="Dark theme").click()

    answer = page.reload()

    assert answer is not None
    assert 'data-theme="dark"' in answer.text()


def test_single_keys_lead_about_and_can_be_switched_off(
    page: Page, live_server: Any, project: Project, as_owner: None
) -> None:
    page.goto(live_server.url + reverse("projects:settings", args=[project.slug]))

    page.keyboard.press("g")
    page.keyboard.press("l")

    expect(page).to_have_url(live_server.url + reverse("ingestion:logs", args=[project.slug]))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("button", name="Switch single keys off").click()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_end_of_a_session_leads_to_the_sign_in_as_a_whole_page(
    page: Page, live_server: Any, project: Project, as_owner: None
) -> None:
    url = live_server.url + reverse("ingestion:logs", args=[project.slug])
    page.goto(url)
    page.context.clear_cookies()

    page.evaluate(
        "url => { htmx.ajax('GET', url, { target: '#main', swap: 'innerHTML' }); }",
        reverse("ingestion:logs", args=[project.slug]),
    )

    expect(page.get_by_role("heading", name="Sign in to agentopt")).to_be_visible()
    assert "next=" in page.url
