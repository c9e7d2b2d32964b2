"""Alerts: made of alarms and new names, and moved from state to state by people, with audit."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction

from agentopt.lib.errors import Conflict, Invalid
from projects import audit, notifications
from projects.models import Project, User
from recommendations.drift import sentences
from recommendations.drift.models import Alert, AlertTransition, DriftRule, DriftSeries
from recommendations.drift.series import METRICS

if TYPE_CHECKING:
    from recommendations.drift.checking import Draft, Plan

State = Alert.State
MUTED_FOR = timedelta(days=7)
LONGEST_NOTE = 2000
BACK = "The level is back: over three days less than half of the shift is left."
LIVE = (State.OPEN, State.ACKNOWLEDGED, State.MUTED)
FROM: dict[str, tuple[str, ...]] = {
    State.ACKNOWLEDGED: (State.OPEN, State.MUTED),
    State.MUTED: (State.OPEN, State.ACKNOWLEDGED),
    State.EXPECTED: LIVE,
    State.RESOLVED: LIVE,
    State.OPEN: (State.ACKNOWLEDGED, State.MUTED, State.RESOLVED),
}
"""By state, those from which a person may move there."""
RELEARNT = 14  # days: from two weeks on the cycle of a week is known


# ------------------------------------------------------------------------------------------------ the product
def write(project: Project, plan: "Plan", *, until: datetime, now: datetime) -> list[Alert]:
    """Make the alerts of a window: one for each rule and use case; the same shift shown again is no new one."""
    made: list[Alert] = []
    for draft in plan.drafts:
        live = Alert.objects.filter(rule=draft.rule, part=draft.row.part, kind=Alert.Kind.SHIFT, state__in=LIVE)
        known = live.filter(rise=draft.alarm.rise).order_by("-pk").first()
        if known is None:
            made.append(_make(project, draft, now=now))
        else:
            _again(known, draft)
    for event in plan.events:
        if not event.told_before:
            row = Alert.objects.create(
                project=project, kind=f"new_{event.dimension}", subject=event.name[:160], began_at=event.first_at,
                alarm_at=until, found_at=now, figures={"n": event.n, "took_over": event.took_over},
            )  # fmt: skip
            made.append(row)
    for alert in made:
        announce(alert, now=now)
    for alert in plan.settled:
        _move(alert, State.RESOLVED, by=None, note=BACK, now=now)
        _tell(alert, "alert_resolved", now=now)
    return made


def announce(alert: Alert, *, now: datetime) -> None:
    """Put the notice of a new alert on its way."""
    _tell(alert, "alert", now=now)


def _tell(alert: Alert, kind: str, *, now: datetime) -> None:
    """Put a notice on its way, in the transaction of the alert; names of use cases stay inside."""
    more: dict[str, object] = {}
    if kind == "alert":
        direction = "" if alert.rise is None else "up" if alert.rise else "down"
        more = {"direction": direction or None, "since": alert.began_at}
    notifications.send(
        alert.project, kind,
        {"sentence": sentences.for_notice(alert, kind), "path": alert.get_absolute_url(), "number": alert.pk,
         "metric": alert.metric or alert.kind, **more},
        key=f"{kind}-{alert.pk}", now=now,
    )  # fmt: skip


def _make(project: Project, draft: "Draft", *, now: datetime) -> Alert:
    from recommendations.drift import checking

    return Alert.objects.create(
        project=project,
        rule=draft.rule,
        metric=draft.rule.metric,
        view=draft.row.view,
        part=draft.row.part,
        rise=draft.alarm.rise,
        subject=_subject(project, draft.rule, draft.row.part)[:160],
        began_at=checking.moment(draft.alarm.began),
        alarm_at=checking.moment(draft.alarm.at),
        found_at=now,
        figures=draft.figures,
    )


def _subject(project: Project, rule: DriftRule, part: str) -> str:
    """The scope in words; "" for all conversations."""
    use_case = part or (rule.scope_value if rule.scope == DriftRule.Scope.USE_CASE else "")
    if use_case.isdigit():
        return project.use_cases.filter(pk=int(use_case)).values_list("name", flat=True).first() or ""
    return rule.scope_value


def _again(alert: Alert, draft: "Draft") -> None:
    from recommendations.drift import checking

    figures = dict(alert.figures)
    if draft.row.view != alert.view and draft.row.view not in figures["also"]:
        figures["also"] = [*figures["also"], draft.row.view]
    at = checking.moment(draft.alarm.at)
    Alert.objects.filter(pk=alert.pk).update(again_at=max(at, alert.again_at or at), figures=figures)


def unmute(project: Project, *, now: datetime) -> int:
    """Open alerts again whose mute has ended; return how many."""
    over = list(Alert.objects.filter(project=project, state=State.MUTED, muted_until__lte=now))
    for alert in over:
        with transaction.atomic():
            _move(alert, State.OPEN, by=None, note="The mute has ended.", now=now)
    return len(over)


# ------------------------------------------------------------------------------------------------ people
def acknowledge(alert: Alert, *, by: User | None, now: datetime, note: str = "") -> Alert:
    """Record that somebody has seen it and looks into it."""
    return _person(alert, State.ACKNOWLEDGED, by=by, note=note, now=now)


def mute(alert: Alert, *, by: User | None, now: datetime, note: str = "", days: int = MUTED_FOR.days) -> Alert:
    """Say nothing of it for some days.

    Raises:
        Invalid: less than a day or more than 90.
    """
    if not 1 <= days <= 90:
        raise Invalid("From 1 to 90 days.", fields={"days": "From 1 to 90 days."})
    return _person(alert, State.MUTED, by=by, note=note, now=now, muted_until=now + timedelta(days=days))


def expect(alert: Alert, *, by: User | None, now: datetime, note: str = "") -> Alert:
    """Take what is since the change point as the new reference; until two weeks of it are there nothing is tested."""

    def learn_anew() -> None:
        from recommendations.drift import checking

        for row in DriftSeries.objects.filter(rule=alert.rule_id, part=alert.part).select_related("rule"):
            checking.forget(row, learn_from=alert.began_at, days=RELEARNT)
            row.save()

    return _person(alert, State.EXPECTED, by=by, note=note, now=now, also=learn_anew)


def resolve(alert: Alert, *, by: User | None, now: datetime, note: str = "") -> Alert:
    """Close it; the same shift raises a new one if it lasts."""
    return _person(alert, State.RESOLVED, by=by, note=note, now=now)


def reopen(alert: Alert, *, by: User | None, now: datetime, note: str = "") -> Alert:
    """Take back an acknowledgement, a mute or a resolution."""
    return _person(alert, State.OPEN, by=by, note=note, now=now)


ACTIONS: dict[str, Callable[..., Alert]] = {
    "acknowledge": acknowledge, "mute": mute, "expected": expect, "resolve": resolve, "reopen": reopen,
}  # fmt: skip


def _person(
    alert: Alert,
    state: str,
    *,
    by: User | None,
    note: str,
    now: datetime,
    muted_until: datetime | None = None,
    also: Callable[[], None] | None = None,
) -> Alert:
    if len(note) > LONGEST_NOTE:
        raise Invalid("The note is too long.", fields={"note": f"At most {LONGEST_NOTE} characters."})
    with transaction.atomic():
        alert = Alert.objects.select_for_update().get(pk=alert.pk)
        if alert.state not in FROM[state]:
            raise Conflict(f"The alert is {alert.get_state_display().lower()}; from there it cannot become {state}.")
        _move(alert, state, by=by, note=note, now=now, muted_until=muted_until)
        if also is not None:
            also()
    return alert


def _move(
    alert: Alert, state: str, *, by: User | None, note: str, now: datetime, muted_until: datetime | None = None
) -> None:
    before = alert.state
    alert.state, alert.muted_until = state, muted_until
    alert.resolved_at = now if state in (State.RESOLVED, State.EXPECTED) else None
    alert.save(update_fields=["state", "muted_until", "resolved_at"])
    AlertTransition.objects.create(alert=alert, state=state, note=note, by=by, at=now)
    audit.record(
        alert.project, by, f"alert.{state}", f"alert {alert.pk}", before={"state": before},
        after={"state": state, "note": note},
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ words
def metric_name(alert: Alert) -> str:
    """What moved, as people call it."""
    return METRICS[alert.metric].label if alert.metric in METRICS else alert.get_kind_display().lower()
