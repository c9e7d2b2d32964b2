"""How often a rule would have fired in the last thirty days, by the very detector that would run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from projects.models import Project
from recommendations.drift import monitor, rules
from recommendations.drift.models import DriftRule, DriftWatch
from recommendations.drift.series import METRICS, MOST_PARTS, view_name

if TYPE_CHECKING:
    from recommendations.drift.columns import Observations
    from recommendations.drift.scales import Policy

DAYS = 30


@dataclass(frozen=True)
class Firing:
    """One alert that would have been."""

    at: datetime
    began_at: datetime
    rise: bool
    view: str  # as people call it; "" where there is only one
    part: str  # a use case by name; "" otherwise


@dataclass(frozen=True)
class Preview:
    """What a rule would have done. `why`: why nothing could be tried; empty otherwise."""

    firings: Sequence[Firing]
    days: float = 0.0
    since: datetime | None = None
    until: datetime | None = None
    n: int = 0  # conversations that were tested
    series: int = 0
    why: str = ""


def preview(rule: DriftRule) -> Preview:
    """Try a rule, stored or not, on what was taken in: a reference before the last thirty days, then those days.

    Raises:
        Invalid: the rule makes no sense.
    """
    rules.refuse_nonsense(rule)
    project = rule.project
    watch = DriftWatch.objects.filter(project=project).first()
    if watch is None or watch.cursor is None or watch.since is None:
        return Preview([], why="No check has run yet, so there is nothing to try it on.")
    if rule.metric == "quality":
        return Preview([], why="Judged samples come in bursts, so thirty days of them tell nothing of a rule.")
    until = watch.cursor
    since = max(until - timedelta(days=DAYS), watch.since + timedelta(days=7))
    first, last = _reference(rule, since, watch.since)
    if last - first < timedelta(days=7) or until <= since:
        return Preview([], why="A reference needs seven days of calls before the days to try it on.")
    before, after = monitor.stored(project, first, last), monitor.stored(project, since, until)
    return _run(rule, before, after, watch=watch, since=since)


def _reference(rule: DriftRule, since: datetime, first: datetime) -> tuple[datetime, datetime]:
    if rule.reference == DriftRule.Kind.PINNED and rule.pinned_since and rule.pinned_until:
        ends = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (rule.pinned_since, rule.pinned_until)]
        return ends[0], ends[1]
    return max(first, since - timedelta(days=rule.reference_days)), since


def _run(rule: DriftRule, before: Observations, after: Observations, *, watch: DriftWatch, since: datetime) -> Preview:
    from recommendations.drift import checking, references, values

    others = [one for one in DriftRule.objects.filter(project=rule.project, active=True) if one.pk != rule.pk]
    rule.active = True
    policy = checking.policy_of(rule, false_alarms=watch.false_alarms, series=rules.n_series([*others, rule]))
    scope = checking.scope_of(rule)
    names = {str(pk): name for pk, name in rule.project.use_cases.values_list("pk", "name")}
    firings: list[Firing] = []
    n = tried = 0
    why = "No conversation tells it."
    for part in values.parts(before, rule.metric, most=MOST_PARTS, scope=scope):
        usual, _ = values.read(before, rule.metric, part=part, scope=scope)
        now, _ = values.read(after, rule.metric, part=part, scope=scope)
        least = max(rule.min_conversations, references.LEAST_OBSERVATIONS)
        if len(usual) < least:
            why = f"Only {len(usual)} conversations of the reference tell it; {least} are needed."
            continue
        n, tried = max(n, len(now)), tried + 1
        found = _firings(rule, usual, now, policy=policy)
        firings += [Firing(at, began, rise, view, names.get(part, part)) for at, began, rise, view in found]
    if not tried:
        return Preview([], why=why)
    assert watch.cursor is not None  # noqa: S101 - asked before
    return Preview(
        sorted(firings, key=lambda one: one.at), days=(watch.cursor - since) / timedelta(days=1), since=since,
        until=watch.cursor, n=n, series=tried,
    )  # fmt: skip


def _firings(
    rule: DriftRule, usual: object, now: object, *, policy: Policy
) -> list[tuple[datetime, datetime, bool, str]]:
    """Alarms of all views; one within the quiet time of another of the rule is none."""
    import numpy as np

    from recommendations.drift import checking, detectors, references
    from recommendations.drift.values import Values

    assert isinstance(usual, Values)  # noqa: S101 - an annotation would load numpy with the page
    assert isinstance(now, Values)  # noqa: S101 - the same
    found = []
    for view in METRICS[rule.metric].views:
        try:
            reference = references.learn(usual.x, usual.hours, view=view, policy=policy, worst=usual.worst)
        except ValueError:
            continue  # no amount is known: this view stays silent, as it would
        threshold = references.log_threshold(reference, policy)
        x, place, state = references.scale(now.x, reference, now.worst), 0, detectors.begin()
        while True:
            state, hit = detectors.advance(state, reference, x[place:], now.hours[place:], threshold=threshold)
            if hit is None:
                break
            began, rise = detectors.began(state)
            at = float(now.hours[place + hit])
            if rule.direction in (DriftRule.Direction.ANY, "rise" if rise else "fall"):
                found.append((at, began, rise, view_name(rule.metric, view)))
            place = int(np.searchsorted(now.hours, at + rule.quiet_hours + 1 / 3600))
            state = detectors.begin()
    kept: list[tuple[float, float, bool, str]] = []
    for one in sorted(found):
        if not kept or one[0] - kept[-1][0] >= rule.quiet_hours:
            kept.append(one)
    return [(checking.moment(at), checking.moment(began), rise, view) for at, began, rise, view in kept]


def of_project(project: Project, terms: dict[str, object]) -> Preview:
    """Try terms that are no rule yet."""
    return preview(DriftRule(project=project, **terms))
