"""What an alert says in words, by code from its figures; and as the API shows it. Numpy stays out."""

from typing import Any

from agentopt.lib import wording
from recommendations.drift import series
from recommendations.drift.models import Alert

NEW = {Alert.Kind.NEW_MODEL: "model", Alert.Kind.NEW_PROMPT_VERSION: "prompt version"}
RELATED = {"new_model": "new model", "new_prompt_version": "new prompt version", "price": "new price of"}
ADVICE = {
    "latency": "Look at the slowest calls since then, and whether one provider, model or prompt version carries them.",
    "cost": "Look at tokens per call and at the price of the model; an evaluation shows what would serve for less.",
    "tokens": "Look at a prompt that grew, longer histories or answers; a new prompt version is the usual cause.",
    "errors": "Look at the status codes of the failed calls since then: limits of the provider, or bad requests.",
    "refusals": "Read some refused answers since then: a changed model or prompt, or other requests.",
    "mix": "Requests have changed. Recommendations made on the former mix may no longer hold: evaluate again.",
    "quality": "Read the worst judged answers since then, and evaluate other models on these calls.",
}


def headline(alert: Alert) -> str:
    """One sentence: what moved, from what to what."""
    if alert.kind == Alert.Kind.NEW_JUDGE:
        said = [wording.score(alert.figures[side]) for side in ("before", "after")]
        return f"The judges changed, and score the same answers {said[1]} in place of {said[0]}"
    if alert.kind != Alert.Kind.SHIFT:
        return f"A {NEW[Alert.Kind(alert.kind)]} that was not there before: {alert.subject}"
    figures, of = alert.figures, f" of “{alert.subject}”" if alert.subject else ""
    verb = "rose" if alert.rise else "fell"
    label = series.METRICS[alert.metric].label
    name = "The share" if alert.metric == "mix" else label[0].upper() + label[1:]
    view = series.view_name(alert.metric, alert.view)
    before, after = (series.said(alert.metric, figures.get(side)) for side in ("before", "after"))
    return f"{name}{f' ({view})' if view else ''}{of} {verb} from {before} to {after}"


def for_notice(alert: Alert, kind: str) -> str:
    """What leaves the instance: without the names of use cases, which are made of words of prompts."""
    of_use_case = bool(alert.part) or (alert.rule is not None and alert.rule.scope == "use_case")
    text = headline(alert)
    if of_use_case and alert.subject:
        text = text.replace(f" of “{alert.subject}”", " of a use case")
    return f"{text}." if kind == "alert" else f"Over: {text}."


def size(alert: Alert) -> str:
    """How much, with its interval: +31 % (+22 % to +40 %), or points."""
    figures = alert.figures
    if alert.kind == Alert.Kind.NEW_JUDGE:
        return f"{wording.signed(figures['shift'])} {wording.interval(figures)}"
    if alert.kind != Alert.Kind.SHIFT:
        return f"{figures['n']:,} conversations so far"
    factor = figures.get("factor")
    if factor:
        middle, low, high = (_change(one) for one in factor)
        return f"{middle} ({low} to {high})"
    if alert.metric == "quality":
        ends = wording.interval(figures)
        return f"{wording.signed(figures['shift'])} {ends}"
    return f"{wording.points(figures['shift'])} {wording.interval(figures, 'points')}"


def _change(factor: float) -> str:
    return f"{wording.signed(100 * (factor - 1), 0)}{wording.THIN}%"


def advice(alert: Alert) -> str:
    """What to do about it."""
    if alert.kind == Alert.Kind.NEW_JUDGE:
        return (
            f"The agent has no part in it: {wording.count(alert.figures['n'])} stored answers were judged again. Do "
            f"not compare scores across {alert.part}, the first one judged by the new judges; judged quality of "
            "production starts a new reference by itself."
        )
    if alert.kind != Alert.Kind.SHIFT:
        return (
            "If the change is meant, say that it is expected. Two weeks after it took over it becomes the new "
            "reference, unless something moved with it."
        )
    return ADVICE[alert.metric]


def related(change: dict[str, Any]) -> str:
    """One related change in words, without its moment."""
    kind, name = change["kind"], change["name"]
    if kind == "volume":
        return f"{wording.signed(100 * (change['factor'] - 1), 0)}{wording.THIN}% {name}"
    if kind == "decision":
        return f"recommendation {name} acknowledged"
    return f"{RELATED[kind]} {name}"


def as_json(alert: Alert) -> dict[str, Any]:
    """An alert as commands and the API show it."""
    shift = alert.kind == Alert.Kind.SHIFT
    return {
        "id": alert.pk,
        "project": alert.project.slug,
        "kind": alert.kind,
        "state": alert.state,
        "headline": headline(alert),
        "size": size(alert),
        "advice": advice(alert),
        "metric": alert.metric or None,
        "view": alert.view or None,
        "subject": alert.subject,
        "direction": None if alert.rise is None else "up" if alert.rise else "down",
        "began_at": alert.began_at.isoformat(),
        "alarm_at": alert.alarm_at.isoformat(),
        "found_at": alert.found_at.isoformat(),
        "again_at": alert.again_at.isoformat() if alert.again_at else None,
        "muted_until": alert.muted_until.isoformat() if alert.muted_until else None,
        "rule": alert.rule_id,
        "before": alert.figures.get("before") if shift else None,
        "after": alert.figures.get("after") if shift else None,
        "figures": alert.figures,
    }
