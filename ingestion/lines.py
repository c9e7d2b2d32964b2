"""Calls as the list shows them: every figure made words here, since a template takes twice as long to do it."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.text import Truncator

from agentopt.lib import filters, wording
from ingestion.values import LogRow

LONGEST = 160  # characters of a prompt
_TONES = {"ok": "ok", "refused": "warn"}


@dataclass(frozen=True)
class Line:
    """One call in words; what is safe to show as it is says so by its type."""

    url: str
    time: str
    tone: str
    status: str
    key: str  # the square in the color of its model
    model: str
    prompt: str
    latency: object
    input: object
    output: object
    cost: object


def lines(rows: Sequence[LogRow], *, slug: str, colors: Mapping[str, str]) -> list[Line]:
    """The rows of a page."""
    # one address is looked up, and not one for each row
    before = reverse("ingestion:log", args=[slug, 0]).removesuffix("0/")
    return [_line(row, url=f"{before}{row.pk}/", key=_key(colors.get(row.model))) for row in rows]


def _line(row: LogRow, *, url: str, key: str) -> Line:
    return Line(
        url=url,
        time=filters.moment(row.occurred_at, "second"),
        tone=_TONES.get(row.status, "bad"),
        status=row.status,
        key=key,
        model=row.model,
        prompt=shortened(row.preview) or "no text kept",
        latency=_known(wording.seconds(row.latency_us), "the source tells no latency"),
        input=_known(wording.count(row.input_tokens), "the source tells no tokens"),
        output=_known(wording.count(row.output_tokens), "the source tells no tokens"),
        cost=_known(wording.amount(wording.nano(row.cost_nanousd)), "no price or no tokens known"),
    )


def shortened(text: str, longest: int = LONGEST) -> str:
    """The beginning of a text; a plain one is cut without a look at each of its characters."""
    if not text.isascii():
        return Truncator(text).chars(longest)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _known(text: object, why: str) -> object:
    return filters.dash(text, why)


@functools.cache
def _key(token: str | None) -> str:
    return filters.key(token)
