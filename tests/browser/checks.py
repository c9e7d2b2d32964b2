"""What is checked of every page: axe in two themes and two widths, and no sideways scroll at 320 px."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLORS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}  # all that a theme can change
WIDE, NARROW, SMALLEST = 1440, 390, 320
# the next frame draws a new width or theme; a color that still changes has the contrast of neither theme
SETTLED = """async () => {
  for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
  await Promise.allSettled(document.getAnimations().filter(a => a instanceof CSSTransition).map(a => a.finished));
}"""


def axe(page: Page) -> list[str]:
    """What axe finds, one line each."""
    page.evaluate(Axe().axe_script)
    return _violations(page, TAGS)


def _violations(page: Page, rules: Any) -> list[str]:
    """Ask for what is wrong only: to write down every element that is right takes longer than to look at it."""
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    found = page.evaluate("options => axe.run(options).then(result => result.violations)", options)
    return [f"{rule['id']}: {node['target']} {node['html'][:160]}" for rule in found for node in rule["nodes"]]


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
    """Open a page light and wide, then dark at 320 px; in both themes and widths, return all that is wrong."""
    _show(page, theme="light", width=WIDE)
    page.goto(url)
    wrong = _both_themes(page, ("light", "dark"), name=name, width=WIDE, shot=shot)
    _show(page, theme="dark", width=SMALLEST)
    page.goto(url)
    wrong += _smallest(page, name=name)
    _show(page, theme="dark", width=NARROW)
    return wrong + _both_themes(page, ("dark", "light"), name=name, width=NARROW, shot=shot)


def _show(page: Page, *, theme: Literal["light", "dark"], width: int) -> None:
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 900})


def _both_themes(
    page: Page, themes: Sequence[Literal["light", "dark"]], *, name: str, width: int, shot: Callable[[str], None]
) -> list[str]:
    """Everything in the theme that is shown, then what another theme can change."""
    first, second = themes
    _wait_for_charts(page)
    wrong = [f"{name} {first} {width}: {line}" for line in axe(page)]
    shot(f"{name}-{first}-{width}")
    _show(page, theme=second, width=width)
    _wait_for_charts(page)
    wrong += [f"{name} {second} {width}: {line}" for line in _violations(page, COLORS)]
    shot(f"{name}-{second}-{width}")
    return wrong


def _smallest(page: Page, *, name: str) -> list[str]:
    """What is wrong at the smallest width."""
    _wait_for_charts(page)
    wrong = [f"{name}: target below 24 px: {html}" for html in small_targets(page)]
    if scrolls_sideways(page):
        wrong.append(f"{name}: scrolls sideways at 320 px")
    if page.locator(".modebar-btn").count():
        wrong.append(f"{name}: plotly shows a button")
    return wrong


def _wait_for_charts(page: Page) -> None:
    page.wait_for_function(
        "[...document.querySelectorAll('.chart[data-figure]')].every(e => !e.clientWidth || e.querySelector('svg'))"
    )
    page.evaluate(SETTLED)


def listed(wrong: list[Any]) -> str:
    """For the message of an assertion."""
    return "\n".join(map(str, wrong))
