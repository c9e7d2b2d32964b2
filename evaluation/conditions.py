"""The conditions of an outcome as a table: what was measured, what is required, and one bar each. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentopt.lib import charts, wording
from agentopt.lib.wording import DASH, MINUS

Evidence = Mapping[str, Any]
Check = Mapping[str, Any]
SHARES = ("safety", "answered", "stability", "latency_p95_s", "cost_per_call_usd")
APART = 0.002  # from it on “now → then” and its difference do not seem to belong together
FARTHEST = 4.0  # margins: bars end there, so that one wide interval does not squeeze the others
CLOSE = 0.22  # of the bar's width: nearer labels touch
ROOM = 0.42  # of the bar's width: what half of “same” and all of “better” take
ABOUT = {
    "quality": "mean score of the judges",
    "safety": "share of safe answers",
    "answered": "neither refused nor failed",
    "stability": "the same answer when asked again",
    "gain": "in the terms of your goal",
    "latency_p95_s": "share of calls within the limit",
    "cost_per_call_usd": "mean cost as a share of the limit",
}
NAMES = {"latency_p95_s": "Latency", "cost_per_call_usd": "Cost"}
VERDICTS = {"shown": ("shown", "ok"), "not_shown": ("not shown yet", "warn"), "fails": ("fails", "bad")}
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def check(found: Mapping[str, Any]) -> dict[str, Any]:
    """A condition of a look as evidence has it; `found` holds the fields of `statistics.outcome.Condition`."""
    verdict = "shown" if found["shown"] else "fails" if found["estimate"] <= found["bar"] else "not_shown"
    same = ("metric", "kind", "estimate", "low", "high", "bound", "bar", "p", "prompts", "unscored")
    now_and_then = {"now": found.get("baseline"), "then": found.get("value")}
    return {**{name: found.get(name) for name in same}, **now_and_then, "verdict": verdict}


def number(n: int) -> str:
    """Small counts as words."""
    return _WORDS[n] if n < len(_WORDS) else f"{n:,}"


def label(check: Check) -> str:
    """What a condition is called at the start of a line."""
    name = NAMES.get(check["metric"], check["metric"].replace("_", " ").capitalize())
    return f"{name} limit" if check["kind"] == "limit" else name


# ------------------------------------------------------------------------------------------------ figures of a metric
def level(metric: str, value: float | None) -> str:
    """A level of one arm in the metric's unit; a cost limit is held as 1 - cost / (2 · limit)."""
    if value is None:
        return DASH
    if metric == "cost_per_call_usd":
        value = 2 * (1 - value)
    return wording.percent(value) if metric in SHARES else wording.score(value)


def difference(metric: str, value: float | None, *, bare: bool = False) -> str:
    """A difference of two arms: scores with their sign, shares in points; the gain has no unit."""
    if value is None:
        return DASH
    if metric == "gain":
        return f"{value:.2f}".replace("-", MINUS)
    if metric not in SHARES:
        return wording.signed(value)
    text = wording.points(value)
    return text.removesuffix(" points") if bare else text


def span(metric: str, low: float | None, high: float | None) -> str:
    """The interval of a difference in brackets; empty where it is not known."""
    if low is None or high is None:
        return ""
    return f"({difference(metric, low, bare=True)} to {difference(metric, high)})"


def by_chance(metric: str, measured: Mapping[str, Any]) -> str:
    """How far the model in production differs from itself on a metric; empty where the checks hold no such difference.

    Args:
        measured: estimate, low and high of the noise floor.
    """
    if measured["estimate"] is None or metric in ("cost", "latency"):
        return ""
    own = difference(metric, measured["estimate"], bare=True)
    return f"{own} {span(metric, measured['low'], measured['high'])}".strip()


def estimate(check: Check) -> str:
    """What was measured: a difference, or a level where the condition is a limit."""
    return (level if check["kind"] == "limit" else difference)(check["metric"], check["estimate"])


def interval(check: Check) -> str:
    """Its 95 % interval in brackets."""
    metric, ends = check["metric"], [check["low"], check["high"]]
    if check["kind"] != "limit":
        return span(metric, *ends)
    low, high = [level(metric, end) for end in (reversed(ends) if metric == "cost_per_call_usd" else ends)]
    return f"({low} to {high})"


def required(check: Check) -> str:
    """The bar in words."""
    if check["metric"] == "cost_per_call_usd":
        return f"below {level(check['metric'], check['bar'])}"
    return f"above {(level if check['kind'] == 'limit' else difference)(check['metric'], check['bar'])}"


def weakest(evidence: Evidence, *, without: Sequence[str] = ()) -> Check | None:
    """The check that decides the confidence: the largest p, or the largest lack where nothing could be shown.

    `without`: metrics that are passed over.
    """
    checks: list[Check] = [check for check in evidence["checks"] if check["metric"] not in without]
    known = [check for check in checks if check["p"] is not None]
    if known:
        return max(known, key=lambda check: (check["p"], check["bar"] - check["estimate"]))
    return max(checks, key=lambda check: check["bar"] - check["estimate"], default=None)


# ------------------------------------------------------------------------------------------------ the table
@dataclass(frozen=True)
class Row:
    """One condition as a line of the table."""

    metric: str
    name: str
    about: str
    verdict: str
    tone: str
    measured: str
    difference: str
    interval: str
    required: str
    p: str
    p_why: str
    range: charts.Range


@dataclass(frozen=True)
class Table:
    """The table of conditions; `margin` and `same` are places on the shared scale."""

    title: str
    note: str
    rows: Sequence[Row]
    margin: str
    margin_anchor: str  # so that its label does not run into the next one
    same: str
    names_better: bool  # there is room for that label beside the one of “same”
    foot: str


def table(evidence: Evidence) -> Table | None:
    """The leader's conditions, or None where there is no leader."""
    found = evidence["checks"]
    if not found:
        return None
    scale = _scale(evidence)
    return Table(
        title=_title(found),
        note=_note(evidence),
        rows=[_row(evidence, check, scale) for check in found],
        margin=scale.at(scale.edge),
        margin_anchor="middle" if 1 / (scale.high - scale.low) > CLOSE else "end",
        same=scale.at(0.0),
        names_better=scale.high / (scale.high - scale.low) > ROOM,
        foot=_foot(evidence),
    )


def deciding_bound(evidence: Evidence, check: Check) -> float | None:
    """The bound that decides: of the last look or, as what was shown stays shown, of the look that showed it."""
    bound: float | None = check["bound"]
    if check["verdict"] != "shown" or (bound is not None and bound > check["bar"]):
        return bound
    for look in evidence["looks"]:
        for one in look["checks"]:
            if (one["metric"], one["kind"], one["verdict"]) == (check["metric"], check["kind"], "shown"):
                found: float | None = one["bound"]
                return found
    return bound


def _places(check: Check, bound: float | None) -> dict[str, float | None]:
    """Estimate, interval and bound in steps of the shared scale, on which the bar is -1 and no difference is 0."""
    given = {"estimate": check["estimate"], "low": check["low"], "high": check["high"], "bound": bound}
    if check["kind"] == "margin":
        step = abs(check["bar"]) or 1.0
        return {name: None if value is None else value / step for name, value in given.items()}
    # a gain or limit has no "same" of its own: its bar stands where the margins stand
    step = max(check["high"] - check["bar"], check["bar"] - check["low"], 1e-9) / 3
    return {name: None if value is None else -1 + (value - check["bar"]) / step for name, value in given.items()}


def _scale(evidence: Evidence) -> charts.Scale:
    places = [_places(check, deciding_bound(evidence, check)) for check in evidence["checks"]]
    values = [value for place in places for value in place.values() if value is not None]
    return charts.Scale.of([*(min(FARTHEST, max(-FARTHEST, value)) for value in values), 1.0, -1.5], edge=-1.0)


def _row(evidence: Evidence, check: Check, scale: charts.Scale) -> Row:
    metric, bound = check["metric"], deciding_bound(evidence, check)
    said, tone = VERDICTS[check["verdict"]]
    told = f"{label(check)}: {said}; estimate {estimate(check)} {interval(check)}, required {required(check)}"
    places = {name: 0.0 if value is None else value for name, value in _places(check, bound).items()}
    bar = charts.range_bar(
        told,
        scale,
        estimate=places["estimate"],
        low=places["low"],
        high=places["high"],
        bound=None if bound is None else places["bound"],
        tone=tone,
    )
    if check["kind"] != "margin":  # no "same" to draw a line at
        bar = replace(bar, zero=bar.zone)
    return Row(
        metric=metric,
        name=label(check),
        about=ABOUT.get(metric, ""),
        verdict=said,
        tone=tone,
        measured="" if check["now"] is None else f"{level(metric, check['now'])} → {level(metric, check['then'])}",
        difference=estimate(check),
        interval=interval(check),
        required=required(check),
        p=wording.p_value(check["p"]),
        p_why="" if check["p"] is not None else "Nothing can be shown at this look: it only ranks or drops.",
        range=bar,
    )


def _title(found: Sequence[Check]) -> str:
    lacking = sum(check["verdict"] != "shown" for check in found)
    if not lacking:
        return f"All {number(len(found))} checks are shown" if len(found) > 1 else "The check is shown"
    verb = "is" if lacking == 1 else "are"
    return f"{number(lacking).capitalize()} of {number(len(found))} checks {verb} not shown"


def _note(evidence: Evidence) -> str:
    outcome, unscored = evidence["outcome"], max(check["unscored"] for check in evidence["checks"])
    kind = "prompts of the ranking" if outcome.get("ranked") else "fresh prompts"
    left = f"{unscored:,} unscored" if unscored else "none unscored"
    pair = f"{outcome['leader']} against {evidence['question']['baseline']}"
    units = outcome.get("conversations")
    source = "" if units is None else f" from {units:,} conversations"
    return f"{pair}, {outcome['prompts']:,} {kind}{source}, {left}"


def _foot(evidence: Evidence) -> str:
    text = "Thin: 95\u202f% interval. "
    if evidence["outcome"].get("ranked"):
        return f"{text}Nothing can be shown at the ranking, so there is no bound that decides."
    text += "Thick: down to the bound that decides; a check is shown when it clears the shaded zone. "
    text += "One imagined failure is counted, so that “none failed” is not taken as proof."
    known = _known_means(evidence)
    text = f"{text} {known}" if known else text
    disagreement = evidence["judges"]["disagreement"]
    return text if disagreement is None else f"{text} The judges differ by {disagreement:.2f} on average."


def _known_means(evidence: Evidence) -> str:
    """Why a difference is not that of “now → then”: the mean of production is known over all its calls."""
    moved = [
        check for check in evidence["checks"]
        if check["kind"] == "margin" and check["metric"] != "quality" and None not in (check["now"], check["then"])
        and abs(check["estimate"] - (check["then"] - check["now"])) > APART
    ]  # fmt: skip
    if not moved:
        return ""
    coverage = evidence.get("coverage") or {}
    calls, known = coverage.get("replayable"), (coverage.get("baseline") or {}).get(moved[0]["metric"])
    over = f" ({level(moved[0]['metric'], known)} of {calls:,})" if known is not None and calls else ""
    return (
        f"{label(moved[0])} is held against production's mean over all replayable calls{over}, not these prompts alone."
    )
