"""Numbers as people read them: money, shares, scores, intervals, counts, durations. Not known is an en dash. Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from agentopt.lib.money import NANO

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
def amount(usd: object, digits: int | None = None) -> str:
    """US dollars without their sign: two digits from 1 on, four significant ones below; or as many as asked."""
    value = _number(usd)
    if value is None:
        return DASH
    if digits is not None:
        return _minus(f"{value:,.{digits}f}")
    return _minus(f"{value:,.2f}" if abs(float(value)) >= 1 else _significant(value))


def dollars(usd: object, digits: int | None = None) -> str:
    """US dollars with their sign: $29.43, $0.002140, −$6.84."""
    text = amount(usd, digits)
    if text == DASH:
        return text
    return f"{MINUS}${text[1:]}" if text.startswith(MINUS) else f"${text}"


def nano(amount_nanousd: object) -> Decimal | None:
    """Nano-dollars to US dollars; None stays None."""
    value = _number(amount_nanousd)
    return None if value is None else Decimal(str(value)) / NANO


def per_1000(usd_per_call: object) -> Number | None:
    """US dollars per call to US dollars per 1,000 calls."""
    value = _number(usd_per_call)
    return None if value is None else value * 1000


# ------------------------------------------------------------------------------------------------ shares and scores
def percent(share: object, digits: int = 1) -> str:
    """A share of 1: 3.0 %."""
    value = _number(share)
    # no "−0 %": a zero that was rounded has no sign
    return DASH if value is None else _minus(f"{round(float(value) * 100, digits) + 0:,.{digits}f}{THIN}%")


def points(difference: object, digits: int = 1) -> str:
    """A difference of two shares: +0.4 points."""
    value = _number(difference)
    return DASH if value is None else f"{_signed(float(value) * 100, digits)} points"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return _minus(text[1:] if float(text) == 0 else text)


def signed(value: object, digits: int = 3) -> str:
    """A difference with its sign: +0.006, −0.024; none for zero."""
    found = _number(value)
    return DASH if found is None else _signed(float(found), digits)


def score(value: object, digits: int = 3) -> str:
    """A judge score, 0 to 1."""
    found = _number(value)
    return DASH if found is None else _minus(f"{found:.{digits}f}")


def confidence(value: object) -> str:
    """A stated confidence: whole percent, rounded down so that it is not overstated; never 0 or 100."""
    found = _number(value)
    if found is None:
        return DASH
    whole = int(float(found) * 100 + 1e-9)
    return f"over 99{THIN}%" if whole >= 100 else f"under 1{THIN}%" if whole < 1 else f"{whole}{THIN}%"


def probability(value: object) -> str:
    """A chance: whole percent, never 0 or 100."""
    found = _number(value)
    if found is None:
        return DASH
    if found > 0.99:
        return f"over 99{THIN}%"
    return f"under 1{THIN}%" if found < 0.01 else f"{found * 100:.0f}{THIN}%"


def p_value(value: object) -> str:
    """0.040; under 0.001 is said so."""
    found = _number(value)
    return DASH if found is None else "under 0.001" if found < 0.001 else f"{found:.3f}"


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
def count(value: object) -> str:
    """4,000."""
    found = _number(value)
    return DASH if found is None else _minus(f"{found:,.0f}")


def short(value: object) -> str:
    """A count that fits a tile: 99,999, then 128 k, 1.3 M; the full value belongs into the title."""
    found = _number(value)
    if found is None or abs(float(found)) < 100_000:
        return count(value)
    return f"{found / 1000:,.0f} k" if abs(float(found)) < 1_000_000 else f"{found / 1_000_000:,.1f} M"


def seconds(duration_us: object, digits: int = 2) -> str:
    """Microseconds as seconds: 2.46."""
    found = _number(duration_us)
    return DASH if found is None else f"{float(found) / 1_000_000:.{digits}f}"


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


# ------------------------------------------------------------------------------------------------ names
def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: a, b and c; a name with a comma of its own is quoted."""
    said = [f"“{name}”" if "," in name else name for name in names]
    return " and ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else "".join(said)
