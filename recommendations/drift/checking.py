"""Check the conversations of a window against the references of all rules. Reads; what changes is handed back."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np

from agentopt.lib.windows import Window
from projects.models import Project
from recommendations.drift import columns, describing, detectors, events, monitor, quality, references, rules, values
from recommendations.drift.columns import Observations
from recommendations.drift.detectors import Alarm, State
from recommendations.drift.events import Event
from recommendations.drift.models import Alert, DriftRule, DriftSeries, DriftWatch
from recommendations.drift.references import Reference
from recommendations.drift.scales import Policy, View
from recommendations.drift.series import METRICS, MOST_PARTS
from recommendations.drift.values import Scope

HORIZON = {DriftRule.Kind.ROLLING: 91, DriftRule.Kind.PINNED: 365}
WATCHED_AFTER_EVENT = timedelta(days=14)  # against the old reference, before a known event becomes the new one
SETTLED = timedelta(days=3)
LIVE = (Alert.State.OPEN, Alert.State.ACKNOWLEDGED, Alert.State.MUTED)


@dataclass(frozen=True, eq=False)
class Draft:
    """An alarm, and what it was raised by."""

    rule: DriftRule
    row: DriftSeries
    alarm: Alarm
    figures: dict[str, Any]


@dataclass
class Plan:
    """All that a window changes."""

    seen: dict[str, Any]
    series: list[DriftSeries] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    settled: list[Alert] = field(default_factory=list)


class Recall:
    """Stored conversations and those of the window at hand; each stretch is read once."""

    def __init__(self, project: Project, window: Window, found: Observations) -> None:
        self.project, self.window, self.found = project, window, found
        self._known: dict[tuple[datetime, datetime], Observations] = {}

    def between(self, since: datetime, until: datetime) -> Observations:
        """The conversations of [since, until), as far as they are taken in."""
        key = (since, until)
        if key not in self._known:
            parts = [monitor.stored(self.project, since, min(until, self.window.since))]
            if until > self.window.since:
                parts.append(self.found.between(since.timestamp(), until.timestamp()))
            self._known[key] = columns.joined(parts)
        return self._known[key]


class Judged:
    """Judged calls, read only where a rule asks for them."""

    def __init__(self, project: Project, window: Window) -> None:
        self.project, self.window = project, window

    def since(self, taken: int) -> quality.Scored | None:
        """All judged calls, and those that are new."""
        return quality.scored(self.project, taken=taken, until=self.window.until)

    def all(self) -> Recall:
        """All judged calls, to be read by the time of the call."""
        found = self.since(0)
        return _Scored(self.project, self.window, columns.empty() if found is None else found.everything)


class _Scored(Recall):
    """Judged calls: all of them are there, whatever window they belong to."""

    def __init__(
        self, project: Project, window: Window, everything: Observations, fresh: Observations | None = None
    ) -> None:
        super().__init__(project, window, everything if fresh is None else fresh)
        self._everything = everything

    def between(self, since: datetime, until: datetime) -> Observations:
        """The judged calls of [since, until)."""
        return self._everything.between(since.timestamp(), until.timestamp())


def _test_quality(row: DriftSeries, policy: Policy, judged: Judged, *, plan: Plan) -> dict[str, Any]:
    """Test the verdicts that arrived; another judge or version of a rubric starts a new reference."""
    taken, panel = row.state.get("taken", 0), row.state.get("panel", [])
    found = judged.since(taken)
    if found is None:
        row.trouble = "no judged samples yet"
        said = {"rule": row.rule_id, "metric": row.rule.metric, "view": row.view, "part": row.part}
        return {**said, "n": 0, "state": row.trouble}
    if found.panel != panel:
        forget(row, learn_from=found.first_at, days=row.rule.reference_days)
    source = _Scored(judged.project, judged.window, found.everything, found.fresh)
    told = _test(row, policy, source, plan=plan, first=found.first_at)
    row.state = {**row.state, "taken": found.newest, "panel": found.panel}
    return told


def policy_of(rule: DriftRule, *, false_alarms: float, series: int) -> Policy:
    """What a rule asks of the detector."""
    common = Policy(false_alarms=false_alarms, series=series, horizon=float(HORIZON[DriftRule.Kind(rule.reference)]))
    if rule.least is None:
        return common
    return replace(common, points=rule.least, part=1.0, least=rule.least, factor=1 + rule.least)


def scope_of(rule: DriftRule) -> Scope:
    """Which conversations a rule looks at."""
    return Scope(rule.scope, rule.scope_value)


def moment(hours: float) -> datetime:
    """The moment of an hour as the detectors count them."""
    return datetime.fromtimestamp(columns.hour_s(hours), UTC)


def examine(
    project: Project, watch: DriftWatch, window: Window, *, found: Observations, wanted: Sequence[DriftRule]
) -> Plan:
    """Test a window; nothing is written."""
    seen, new = events.notice(watch.seen, found, since=watch.since or window.since)
    plan = Plan(seen, events=new)
    recall, judged = Recall(project, window, found), Judged(project, window)
    live = list(Alert.objects.filter(project=project, kind=Alert.Kind.SHIFT, state__in=LIVE).select_related("rule"))
    n = rules.n_series(list(wanted))
    for rule in wanted:
        policy = policy_of(rule, false_alarms=watch.false_alarms, series=n)
        for row in _rows(rule, recall, watch):
            busy = any(one.rule_id == rule.pk and one.part == row.part for one in live)
            _renew(row, rule, plan.events, window, busy=busy)
            if rule.metric == "quality":
                told = _test_quality(row, policy, judged, plan=plan)
            else:
                told = _test(row, policy, recall, plan=plan, first=watch.since or window.since)
            plan.findings.append(told)
            plan.series.append(row)
    plan.drafts.sort(key=lambda draft: draft.alarm.at)  # the first makes the alert, however windows are cut
    plan.settled = [one for one in live if _is_settled(one, plan, judged.all() if one.metric == "quality" else recall)]
    return plan


def _rows(rule: DriftRule, recall: Recall, watch: DriftWatch) -> list[DriftSeries]:
    """The series of a rule, made where they are missing; those of the mix once there is a reference."""
    rows = list(rule.series.all())
    metric = METRICS[rule.metric]
    if rule.metric != "mix":
        had = {row.view for row in rows}
        rows += [
            DriftSeries(rule=rule, view=view, learn_days=rule.reference_days)
            for view in metric.views
            if view not in had
        ]
    elif not rows:
        trial = DriftSeries(rule=rule, view="share", learn_days=rule.reference_days)
        span = _span(trial, first=watch.since or recall.window.since)
        if span.until <= recall.window.until:
            known = recall.between(span.since, span.until)
            for part in values.parts(known, "mix", most=MOST_PARTS, scope=scope_of(rule)):
                rows.append(DriftSeries(rule=rule, view="share", part=part, learn_days=rule.reference_days))
    return sorted(rows, key=lambda row: (metric.views.index(_view(row)), row.part))


def _span(row: DriftSeries, *, first: datetime) -> Window:
    """The stretch a reference is learnt from."""
    rule = row.rule
    if rule.reference == DriftRule.Kind.PINNED and row.learn_from is None:
        assert rule.pinned_since is not None  # noqa: S101 - rules.refuse_nonsense
        assert rule.pinned_until is not None  # noqa: S101 - the same
        return Window(_midnight(rule.pinned_since), _midnight(rule.pinned_until))
    since = row.learn_from or first
    return Window(since, since + timedelta(days=row.learn_days))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _renew(row: DriftSeries, rule: DriftRule, new: Sequence[Event], window: Window, *, busy: bool) -> None:
    """A rolling reference is learnt anew each quarter, and two weeks after a known event; never under a live alert."""
    for event in new:
        if event.took_over and row.renew_at is None:
            row.renew_from, row.renew_at = event.first_at, event.first_at + WATCHED_AFTER_EVENT
    if row.reference is None or row.reference_until is None or busy or rule.reference == DriftRule.Kind.PINNED:
        return
    if row.renew_at is not None and row.renew_at <= window.since and row.renew_from is not None:
        forget(row, learn_from=row.renew_from, days=WATCHED_AFTER_EVENT.days)
    elif window.since - row.reference_until >= timedelta(days=HORIZON[DriftRule.Kind.ROLLING]):
        forget(row, learn_from=window.since - timedelta(days=rule.reference_days), days=rule.reference_days)


def forget(row: DriftSeries, *, learn_from: datetime, days: int) -> None:
    """Let a series learn a new reference."""
    row.learn_from, row.learn_days = learn_from, days
    row.reference, row.reference_since, row.reference_until = None, None, None
    row.state, row.quiet_until, row.renew_from, row.renew_at = {}, None, None, None


def _learn(row: DriftSeries, policy: Policy, recall: Recall, *, first: datetime) -> None:
    """Learn the reference once its stretch is over; a stretch with too few conversations goes on until there are."""
    span = _span(row, first=first)
    if span.until > recall.window.until:
        row.trouble = f"learning until {span.until:%b %-d, %Y}"
        return
    if row.rule.reference == DriftRule.Kind.ROLLING and row.trouble.startswith("only"):
        span = Window(span.since, recall.window.until)
    known, _ = values.read(
        recall.between(span.since, span.until), row.rule.metric, part=row.part, scope=scope_of(row.rule)
    )
    least = max(row.rule.min_conversations, references.LEAST_OBSERVATIONS)
    if len(known) < least:
        row.trouble = f"only {len(known)} conversations of the reference tell it; {least} are needed"
        return
    try:
        made = references.learn(known.x, known.hours, view=_view(row), policy=policy, worst=known.worst)
    except ValueError as error:
        row.trouble = str(error)[:200]
        return
    row.reference, row.trouble, row.state = made.as_json(), "", {}
    row.reference_since, row.reference_until = span.since, span.until


def _view(row: DriftSeries) -> View:
    view: View = row.view  # type: ignore[assignment]  # a row holds no other
    return view


def _test(row: DriftSeries, policy: Policy, recall: Recall, *, plan: Plan, first: datetime) -> dict[str, Any]:
    """Advance one series over the window; return what the check keeps of it."""
    if row.reference is None:
        _learn(row, policy, recall, first=first)
    said = {"rule": row.rule_id, "metric": row.rule.metric, "view": row.view, "part": row.part}
    if row.reference is None or row.reference_until is None:
        return {**said, "n": 0, "state": row.trouble or "learning"}
    reference = Reference.from_json(row.reference)
    threshold = references.log_threshold(reference, policy)
    series, mask = values.read(recall.found, row.rule.metric, part=row.part, scope=scope_of(row.rule))
    x, at_s = references.scale(series.x, reference, series.worst), recall.found.at_s[mask]
    state, place = State.from_json(row.state), _after(at_s, row)
    while True:
        state, hit = detectors.advance(state, reference, x[place:], series.hours[place:], threshold=threshold)
        if hit is None:
            break
        _raise(row, state, reference, recall, until_s=int(at_s[place + hit]), plan=plan)
        row.quiet_until = datetime.fromtimestamp(int(at_s[place + hit]) + 1, UTC) + timedelta(
            hours=row.rule.quiet_hours
        )
        state, place = detectors.begin(), _after(at_s, row)
    row.state = state.as_json()
    reached = detectors.evidence(state) / threshold
    return {
        **said, "n": len(series), "state": "watching", "level": values.level(series.x, row.view),
        "mean": float(x.mean()) if x.size else None, "usual": reference.mean, "evidence": max(0.0, min(reached, 1.0)),
    }  # fmt: skip


def _after(at_s: Any, row: DriftSeries) -> int:
    """The first conversation that is no part of the reference and not within a quiet time."""
    assert row.reference_until is not None  # noqa: S101 - asked for watched series only
    from_at = max(filter(None, (row.reference_until, row.quiet_until)))
    return int(np.searchsorted(at_s, from_at.timestamp()))


def _raise(row: DriftSeries, state: State, reference: Reference, recall: Recall, *, until_s: int, plan: Plan) -> None:
    """Describe an alarm, unless its direction is not asked for."""
    start, rise = detectors.began(state)
    if row.rule.direction not in (DriftRule.Direction.ANY, "rise" if rise else "fall"):
        return
    since = moment(start) - timedelta(seconds=1)
    after = recall.between(since, datetime.fromtimestamp(until_s + 1, UTC))
    series, mask = values.read(after, row.rule.metric, part=row.part, scope=scope_of(row.rule))
    x = references.scale(series.x, reference, series.worst)
    alarm = detectors.report(state, reference, x, series.hours)
    late = series.hours >= alarm.began
    figures = describing.figures(
        row, alarm, reference, recall, after=after.where(mask).where(late), x_after=x[late], seen=plan.seen
    )
    plan.drafts.append(Draft(row.rule, row, alarm, figures))


def _is_settled(alert: Alert, plan: Plan, recall: Recall) -> bool:
    """Whether the level is back: over three days less than half of the shift is left, at a day's end."""
    until = recall.window.until
    since = until - SETTLED
    if until.hour or since < max(alert.alarm_at, alert.again_at or alert.alarm_at):
        return False
    row = next(
        (one for one in plan.series if (one.rule_id, one.view, one.part) == (alert.rule_id, alert.view, alert.part)),
        None,
    )
    if row is None or row.reference is None:
        return False
    reference = Reference.from_json(row.reference)
    series, _ = values.read(recall.between(since, until), alert.metric, part=alert.part, scope=scope_of(row.rule))
    if len(series) < references.LEAST_OBSERVATIONS:
        return False
    x = references.scale(series.x, reference, series.worst)
    left = float((x - reference.base[(series.hours % references.WEEK).astype(int)]).mean())
    return abs(left) < abs(float(alert.figures["shift"])) / 2
