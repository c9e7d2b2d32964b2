"""Template filters and tags: money, shares, durations, intervals, moments; a value that is not known is an en dash."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentopt.lib.money import NANO

register = template.Library()

DASH = "–"
MINUS = "−"
THIN = "\u202f"  # narrow no-break space, before a percent sign
Number = int | float | Decimal


def _minus(text: str) -> str:
    return text.replace("-", MINUS)


def _number(value: object) -> Number | None:
    return value if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None


def _significant(value: Number, digits: int = 4) -> str:
    """Plain decimals (never an exponent) with so many significant digits; trailing zeros stay."""
    if not value:
        return "0.00"
    places = max(2, digits - 1 - Decimal(str(value)).adjusted())
    return f"{value:.{min(places, 9)}f}"


# ------------------------------------------------------------------------------------------------ money
@register.filter
def amount(usd: object, digits: int | None = None) -> str:
    """US dollars without their sign: two digits from 1 on, four significant ones below; or as many as asked."""
    value = _number(usd)
    if value is None:
        return DASH
    if digits is not None:
        return _minus(f"{value:,.{digits}f}")
    return _minus(f"{value:,.2f}" if float(abs(value)) >= 1 else _significant(value))


@register.filter
def dollars(usd: object, digits: int | None = None) -> str:
    """US dollars with their sign: $29.43, $0.002140, −$6.84."""
    text = amount(usd, digits)
    if text == DASH:
        return text
    return f"{MINUS}${text[1:]}" if text.startswith(MINUS) else f"${text}"


@register.filter
def nano(amount_nanousd: object) -> Decimal | None:
    """Nano-dollars to US dollars; None stays None."""
    value = _number(amount_nanousd)
    return None if value is None else Decimal(str(value)) / NANO


@register.filter
def per_1000(usd_per_call: object) -> Number | None:
    """US dollars per call to US dollars per 1,000 calls."""
    value = _number(usd_per_call)
    return None if value is None else value * 1000


# ------------------------------------------------------------------------------------------------ shares and scores
@register.filter
def percent(share: object, digits: int = 1) -> str:
    """A share of 1: 3.0 %."""
    value = _number(share)
    return DASH if value is None else _minus(f"{value * 100:,.{digits}f}{THIN}%")


@register.filter
def points(difference: object, digits: int = 1) -> str:
    """A difference of two shares: +0.4 points."""
    value = _number(difference)
    return DASH if value is None else f"{_signed(float(value) * 100, digits)} points"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return _minus(text[1:] if float(text) == 0 else text)


@register.filter
def signed(value: object, digits: int = 3) -> str:
    """A difference with its sign: +0.006, −0.024; none for zero."""
    found = _number(value)
    return DASH if found is None else _signed(float(found), digits)


@register.filter
def score(value: object, digits: int = 3) -> str:
    """A judge score, 0 to 1."""
    found = _number(value)
    return DASH if found is None else _minus(f"{found:.{digits}f}")


@register.filter
def confidence(value: object) -> str:
    """A stated confidence: whole percent, rounded down so that it is not overstated; never 0 or 100."""
    found = _number(value)
    if found is None:
        return DASH
    whole = int(float(found) * 100 + 1e-9)
    return f"over 99{THIN}%" if whole >= 100 else f"under 1{THIN}%" if whole < 1 else f"{whole}{THIN}%"


@register.filter
def probability(value: object) -> str:
    """A chance: whole percent, never 0 or 100."""
    found = _number(value)
    if found is None:
        return DASH
    if found > 0.99:
        return f"over 99{THIN}%"
    return f"under 1{THIN}%" if found < 0.01 else f"{found * 100:.0f}{THIN}%"


@register.filter
def p_value(value: object) -> str:
    """0.040; under 0.001 is said so."""
    found = _number(value)
    return DASH if found is None else "under 0.001" if found < 0.001 else f"{found:.3f}"


@register.filter
def interval(found: Any, form: str = "signed") -> str:
    """The 95 % interval of something with `low` and `high`: (−0.042 to +0.035). `form`: another filter's name."""
    low, high = (found.get(name) if isinstance(found, Mapping) else getattr(found, name, None) for name in _ENDS)
    if _number(low) is None or _number(high) is None:
        return ""
    form, _, digits = form.partition(":")
    say = _FORMS[form]
    ends = [say(end, int(digits)) if digits else say(end) for end in (low, high)]
    return f"({ends[0].removesuffix(' points')} to {ends[1]})"


_ENDS = ("low", "high")


# ------------------------------------------------------------------------------------------------ counts and durations
@register.filter
def count(value: object) -> str:
    """4,000."""
    found = _number(value)
    return DASH if found is None else _minus(f"{found:,.0f}")


@register.filter
def short(value: object) -> str:
    """A count that fits a tile: 99,999, then 128 k, 1.3 M; the full value belongs into the title."""
    found = _number(value)
    if found is None or float(abs(found)) < 100_000:
        return count(value)
    return f"{found / 1000:,.0f} k" if float(abs(found)) < 1_000_000 else f"{found / 1_000_000:,.1f} M"


@register.filter
def seconds(duration_us: object, digits: int = 2) -> str:
    """Microseconds as seconds: 2.46."""
    found = _number(duration_us)
    return DASH if found is None else f"{float(found) / 1_000_000:.{digits}f}"


@register.filter
def duration(value: object) -> str:
    """Seconds in words: 0.4 s, 12 s, 3 min, 1 h 20 min."""
    found = _number(value)
    if found is None:
        return DASH
    whole = round(found)
    if found < 10:
        return f"{found:.1f} s"
    if whole < 90:
        return f"{whole} s"
    if whole < 3600:
        return f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min" if whole < 86_400 else f"{whole / 86_400:.1f} days"


_FORMS: dict[str, Any] = {
    "signed": signed, "score": score, "points": points, "percent": percent, "dollars": dollars, "amount": amount,
}  # fmt: skip


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
