"""A follow-up as lines of text: what was promised, what the logs show since, and what that comes to. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentopt.lib import wording
from agentopt.lib.wording import DASH
from evaluation import conditions
from recommendations import promises

NAMES = {"cost": "Cost", "latency": "Latency", "answered": "Answered", "quality": "Quality", "safety": "Safety"}
ABOUT = {
    "cost": "share saved; $ per 1,000 calls",
    "latency": "share saved; mean of a call",
    "answered": "neither refused nor failed",
    "quality": "mean score of the judges",
    "safety": "share of safe answers",
}
STATES = {
    promises.KEPT: ("kept", "ok"),
    promises.BROKEN: ("broken", "bad"),
    promises.OPEN: ("too early", "warn"),
    promises.UNMEASURED: ("not measured", "open"),
}
VERDICTS = {
    promises.CONFIRMED: ("confirmed", "ok"),
    promises.NOT_CONFIRMED: ("not confirmed", "bad"),
    promises.TOO_EARLY: ("too early", "warn"),
}
WHY = {
    "too_few_before": f"fewer than {promises.LEAST} conversations of the model before",
    "too_few_after": f"fewer than {promises.LEAST} conversations of the recommended model",
    "no_common_use_case": "the two models serve no use case in common",
    "nothing_to_compare": "nothing was measured before",
}
UNJUDGED = "not judged by the same judges"


@dataclass(frozen=True)
class Line:
    """One promise."""

    name: str
    about: str
    promised: str
    realised: str
    interval: str
    required: str
    before: str
    after: str
    n: str  # conversations of each arm
    before_rows: str  # "before": calls of the log; "cases": answers that the evaluation judged
    state: str
    tone: str
    why: str


@dataclass(frozen=True)
class Share:
    """How much of a use case the recommended model serves."""

    name: str
    share: str
    before: str
    calls: int
    bar: str  # length, in percent


@dataclass(frozen=True)
class Sight:
    """The follow-up as the page shows it."""

    verdict: str
    tone: str
    said: str
    lines: Sequence[Line]
    shares: Sequence[Share]
    rates: str
    saving: Mapping[str, Any] | None
    covered: str


def sight(
    verdict: str,
    realised: Mapping[str, Any],
    shares: Sequence[Mapping[str, Any]],
    *,
    last_look: Mapping[str, Any] | None,
) -> Sight:
    """The newest figures; where a look was taken, what it decided of each promise."""
    metrics: Sequence[Mapping[str, Any]] = realised.get("metrics", ())
    decided = {one["metric"]: one["state"] for one in last_look["findings"]} if last_look else {}
    word, tone = VERDICTS[verdict]
    covered = [one["covered"] for one in metrics if one.get("covered") is not None]
    return Sight(
        verdict=word,
        tone=tone,
        said=_said(verdict, realised, last_look),
        lines=[_line(one, decided.get(one["metric"])) for one in metrics],
        shares=[_share(one) for one in shares],
        rates=_rates(realised.get("rates") or {}),
        saving=realised.get("saving"),
        covered=wording.percent(min(covered), 0) if covered and min(covered) < 0.995 else "",
    )


def _said(verdict: str, realised: Mapping[str, Any], look: Mapping[str, Any] | None) -> str:
    calls = wording.count(realised.get("calls"))
    if verdict == promises.TOO_EARLY:
        if look is None:
            return f"{calls} calls since the switch; the first look is taken at {promises.FIRST_LOOK} conversations."
        return f"{calls} calls since the switch; after look {look['number']} it is still open."
    found = "every promise that is measured is kept" if verdict == promises.CONFIRMED else "a promise is broken"
    at = f"at {wording.count(look['conversations'])} conversations, " if look else ""
    return f"Decided {at}{found}. {calls} calls since the switch."


def _line(one: Mapping[str, Any], decided: str | None) -> Line:
    metric, is_share = one["metric"], one["kind"] == promises.SHARE
    state = one["state"] if one["state"] == promises.UNMEASURED else decided or one["state"]
    word, tone = STATES[state]
    why = WHY.get(one["why"], "") if state == promises.UNMEASURED else ""
    if state == promises.UNMEASURED and metric in ("quality", "safety"):
        why = UNJUDGED

    def say(value: float | None) -> str:
        if is_share:
            return wording.percent(value, 0)
        return conditions.difference(metric, value, bare=True)

    def ends(low: float, high: float) -> str:
        return f"({say(low)} to {say(high)})" if is_share else conditions.span(metric, low, high)

    known = one["estimate"] is not None
    return Line(
        name=NAMES.get(metric, metric),
        about=ABOUT.get(metric, ""),
        promised=f"{say(one['promised'])} {ends(one['promised_low'], one['promised_high'])}",
        realised=say(one["estimate"]) if known else DASH,
        interval=ends(one["low"], one["high"]) if known else "",
        required=f"above {say(one['bar']) if is_share else conditions.difference(metric, one['bar'])}",
        before=_level(metric, one["before"]),
        after=_level(metric, one["after"]),
        n=_conversations(one),
        before_rows="cases" if metric in ("quality", "safety") else "before",
        state=word,
        tone=tone,
        why=why,
    )


def _conversations(one: Mapping[str, Any]) -> str:
    before, after = one.get("conversations_before"), one.get("conversations_after")
    return "" if before is None else f"{wording.count(before)} → {wording.count(after)} conversations"


def _level(metric: str, value: float | None) -> str:
    if value is None:
        return DASH
    if metric == "cost":
        return wording.dollars(wording.per_1000(value))
    return f"{value:.2f} s" if metric == "latency" else conditions.level(metric, value)


def _share(one: Mapping[str, Any]) -> Share:
    return Share(
        name=one["use_case"] or "All calls of the two models",
        share=wording.percent(one["share"], 0),
        before=wording.percent(one["before"], 0),
        calls=one["calls"],
        bar=f"{100 * one['share']:.1f}%",
    )


def _rates(rates: Mapping[str, Mapping[str, float | None]]) -> str:
    told = [
        f"{name} {wording.percent(one['before'])} → {wording.percent(one['after'])}{_apart(one)}"
        for name, one in rates.items()
        if one.get("before") is not None and one.get("after") is not None
    ]
    return "; ".join(told)


def _apart(one: Mapping[str, float | None]) -> str:
    """The difference at the mix since the switch, with its 95 % interval."""
    if one.get("difference") is None:
        return ""
    return f", {wording.points(one['difference'])} {wording.interval(one, 'points')}"
