"""What the tabs of an evaluation say in words: forecast against actual, time left."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from agentopt.lib.wording import DASH, count, dollars
from evaluation import selectors, standing
from evaluation.models import Evaluation


@dataclass(frozen=True)
class Kept:
    """A line of forecast against actual, as texts; is_within None: not to be said yet."""

    name: str
    expected: str
    span: str
    actual: str
    is_within: bool | None
    likely: str
    is_likely: bool | None
    why: str  # there is no actual


def kept(evaluation: Evaluation, spent: selectors.Spend, *, prompts: int) -> list[Kept]:
    """The forecast beside what came of it; as `standing.against_forecast`."""
    return [_kept(row) for row in standing.against_forecast(evaluation, spent, prompts=prompts)]


def _kept(row: standing.Kept) -> Kept:
    say = _UNITS[row.unit]
    if row.at_most is None:
        span = DASH
    else:
        span = f"at most {say(row.at_most)}" if row.low is None else f"{say(row.low)} to {say(row.at_most)}"
    is_told = row.likely_low is not None and row.likely_high is not None
    likely = f"{say(row.likely_low)} to {say(row.likely_high)}" if is_told else DASH
    return Kept(
        row.name, say(row.expected), span, say(row.actual), row.is_within, likely, row.is_likely, row.why or _OPEN
    )


_OPEN = "it has not ended"
_UNITS: dict[str, Callable[[float | None], str]] = {
    "count": count,
    "usd": lambda usd: dollars(usd, 2),
    "minutes": lambda minutes: DASH if minutes is None else f"{minutes:.1f}",
}


def time_left(found: standing.Left | None) -> str:
    """Whole minutes as a range: 2 to 4 minutes; empty where nothing can be told."""
    if found is None:
        return ""
    low, high = math.ceil(found.low), max(1, math.ceil(found.high))
    if low >= high:
        return f"about {high} minute{'' if high == 1 else 's'}"
    return f"{low} to {high} minutes" if low else f"at most {high} minute{'' if high == 1 else 's'}"
