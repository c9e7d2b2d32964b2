"""What is checked of every page: axe in two themes and two widths, and no sideways scroll at 320 px."""

from collections.abc import Callable
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDTHS = (1440, 390)


def axe(page: Page) -> list[str]:
    """What axe finds, one line each."""
    found = Axe().run(page, options={"runOnly": TAGS}).response
    return [
        f"{rule['id']}: {node['target']} {node['html'][:160]}" for rule in found["violations"] for node in rule["nodes"]
    ]


def scrolls_sideways(page: Page) -> bool:
    """Whether the page is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def small_targets(page: Page) -> list[str]:
    """Controls below 24 × 24 px, inline links in sentences excepted."""
    return list(
        page.evaluate(
            """() => [...document.querySelectorAll(
              'button, .btn, input:not([type=hidden]):enabled, select, summary, .nav a, .tabs a')]
            .filter(e => e.offsetParent && getComputedStyle(e).opacity !== '0')
            .map(e => [e, e.closest('label') || e]).filter(([, l]) => { const r = l.getBoundingClientRect();
              return r.width && (r.width < 23.5 || r.height < 23.5); }).map(([e]) => e.outerHTML.slice(0, 120))"""
        )
    )


def inspect(page: Page, url: str, *, name: str, shot: Callable[[str], None]) -> list[str]:
    """Open a page in both themes and widths and at 320 px; return all that is wrong."""
    wrong: list[str] = []
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(url)
            _wait_for_charts(page)
            wrong += [f"{name} {theme} {width}: {line}" for line in axe(page)]
            shot(f"{name}-{theme}-{width}")
    page.set_viewport_size({"width": 320, "height": 800})
    page.goto(url)
    _wait_for_charts(page)
    if scrolls_sideways(page):
        wrong.append(f"{name}: scrolls sideways at 320 px")
    wrong += [f"{name}: target below 24 px: {html}" for html in small_targets(page)]
    if page.locator(".modebar-btn").count():
        wrong.append(f"{name}: plotly shows a button")
    return wrong


def _wait_for_charts(page: Page) -> None:
    page.wait_for_function(
        "[...document.querySelectorAll('.chart[data-figure]')].every(e => !e.clientWidth || e.querySelector('svg'))"
    )


def listed(wrong: list[Any]) -> str:
    """For the message of an assertion."""
    return "\n".join(map(str, wrong))
