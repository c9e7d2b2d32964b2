"""Pages in a real Chromium: a breach of the CSP, a script error or a request that leaves the server fails the test."""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page

from agentopt.sandbox.server import Sandbox, running
from projects.models import User
from tests.browser import checks

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # playwright's sync API keeps a loop running in this thread
CHROMIUM = os.environ.get("AGENTOPT_CHROMIUM") or shutil.which("chromium")
SHOTS = os.environ.get("AGENTOPT_SHOTS", "")
OWN = ("http://localhost", "http://127.0.0.1", "data:", "blob:")


def pytest_configure(config: pytest.Config) -> None:
    # pytest-base-url, which comes with playwright, still defines its fixture on a class
    config.addinivalue_line("filterwarnings", "ignore::pytest.PytestRemovedIn10Warning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker(pytest.mark.browser)
            if not CHROMIUM:
                item.add_marker(pytest.mark.skip(reason="chromium is not installed"))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": quiet}


@pytest.fixture
def page(page: Page) -> Iterator[Page]:
    """A page that fails the test on what no page may do."""
    bad: list[str] = []
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " e => console.error('CSP ' + e.violatedDirective + ' ' + e.blockedURI))"
    )
    page.on("console", lambda message: bad.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: bad.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(OWN) else bad.append(f"left: {request.url}"))
    page.bad = bad  # type: ignore[attr-defined]
    yield page
    assert not bad, bad


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox entered and left in a thread of its own: in this one playwright's loop runs already."""
    served = running(seed=7)
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(served.__enter__).result()
        thread.submit(served.__exit__, None, None, None).result()


@pytest.fixture
def sign_in(page: Page, live_server: Any) -> Callable[[User], None]:
    """Sign a person in without the form."""

    def go(user: User) -> None:
        client = Client()
        client.force_login(user)
        session = client.cookies["sessionid"].value
        page.context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])

    return go


@pytest.fixture
def shot(page: Page) -> Callable[[str], None]:
    """Keep a picture in the folder AGENTOPT_SHOTS, where one is given."""

    def take(name: str) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            # Playwright hides the caret by a style element of its own, which the CSP would report
            size = page.viewport_size
            assert size is not None
            page.set_viewport_size({**size, "height": page.evaluate("document.documentElement.scrollHeight")})
            page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True, caret="initial")
            page.set_viewport_size(size)

    return take


@pytest.fixture
def as_owner(sign_in: Callable[[User], None], owner: User) -> None:
    """The owner of the project is signed in."""
    sign_in(owner)


@pytest.fixture
def inspect(page: Page, live_server: Any, shot: Callable[[str], None]) -> Callable[..., list[str]]:
    """Open an address in both themes and at all widths; return what is wrong with it."""

    def look(path: str, *, name: str) -> list[str]:
        return checks.inspect(page, f"{live_server.url}{path}", name=name, shot=shot)

    return look
