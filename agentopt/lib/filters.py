"""Template filters and tags: numbers as `wording` says them, moments, icons; what is not known is an en dash."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString

from agentopt.lib import wording
from agentopt.lib.wording import DASH

register = template.Library()

for _say in (
    wording.amount,
    wording.confidence,
    wording.count,
    wording.dollars,
    wording.duration,
    wording.interval,
    wording.nano,
    wording.p_value,
    wording.per_1000,
    wording.percent,
    wording.points,
    wording.probability,
    wording.score,
    wording.seconds,
    wording.short,
    wording.signed,
):
    register.filter(_say)


# ------------------------------------------------------------------------------------------------ moments
def _moment(value: object) -> datetime | None:
    """A moment, also out of JSON."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if timezone.is_aware(value) else value.replace(tzinfo=UTC)


def _element(value: datetime, text: str, *, title: str = "") -> SafeString:
    stamp = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if title:
        return format_html('<time datetime="{}" title="{}">{}</time>', stamp, title, text)
    return format_html('<time datetime="{}">{}</time>', stamp, text)


def _said(local: datetime, form: str) -> str:
    """Month, day and, unless it is this year's, the year; then the clock."""
    day = f"{local:%b} {local.day}"
    if local.year != timezone.localtime().year:
        day += f", {local.year}"
    clock = {"day": "", "minute": f" {local:%H:%M}", "second": f" {local:%H:%M:%S}"}[form]
    return day + clock


@register.filter
def moment(value: object, form: str = "minute") -> str:
    """A moment in the person's zone as <time>: Nov 22 08:24; `form`: day, minute or second."""
    found = _moment(value)
    return DASH if found is None else _element(found, _said(timezone.localtime(found), form))


@register.filter
def clock(value: object) -> str:
    """The time of day in the person's zone: 08:24:39."""
    found = _moment(value)
    return DASH if found is None else _element(found, f"{timezone.localtime(found):%H:%M:%S}")


@register.filter
def plain_moment(value: object) -> str:
    """A moment in UTC as plain text, for letters: 2026-11-22 08:24 UTC."""
    found = _moment(value)
    return DASH if found is None else f"{found.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@register.filter
def ago(value: object) -> str:
    """Relative below a day, with the absolute as title; absolute beyond."""
    found = _moment(value)
    if found is None:
        return DASH
    absolute = _said(timezone.localtime(found), "minute")
    if abs((timezone.now() - found).total_seconds()) >= 86_400:
        return _element(found, absolute)
    return _element(found, naturaltime(found), title=absolute)


# ------------------------------------------------------------------------------------------------ what is not known
@register.filter
def dash(text: object, why: str) -> object:
    """Say why a value is missing: the en dash gets it as its title; everything else passes."""
    if text in (None, "", DASH):
        return format_html('<span title="{}">{}</span>', why, DASH)
    return text


@register.filter
def words(code: object) -> str:
    """A code as words: no_answer → no answer."""
    return str(code).replace("_", " ")


@register.filter
def at(mapping: Any, key: Any) -> Any:
    """The value of a mapping at a key that a template holds in a variable; None where there is none."""
    return mapping.get(key) if isinstance(mapping, Mapping) else None


@register.filter
def cells(row: Sequence[str]) -> SafeString:
    """A row of a table under its head; a chart has a hundred cells, and a loop of a template takes long for them."""
    head, *others = map(conditional_escape, row)
    return SafeString(f'<th scope="row">{head}</th>' + "".join(f'<td class="num">{one}</td>' for one in others))


# ------------------------------------------------------------------------------------------------ tags
@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """A sign of the sprite; it decorates, the words beside it tell."""
    if css:
        return format_html(
            '<svg class="{}" aria-hidden="true"><use href="{}#{}"/></svg>', css, static("img/icons.svg"), name
        )
    return format_html('<svg aria-hidden="true"><use href="{}#{}"/></svg>', static("img/icons.svg"), name)


@register.simple_tag
def key(token: str | None) -> SafeString:
    """The little square in the color of a series: c1 to c6, c0."""
    return format_html('<span class="key {}"></span>', token or "c0")


@register.simple_tag(takes_context=True)
def query(context: Mapping[str, Any], **changes: Any) -> str:
    """The address' query with some values changed; an empty value goes."""
    asked = context["request"].GET.copy()
    for name, value in changes.items():
        if value in (None, ""):
            asked.pop(name, None)
        else:
            asked[name] = value
    return f"?{asked.urlencode()}" if asked else "?"
