"""What pages and API show of alerts, rules and checks. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Q, QuerySet
from django.urls import reverse

from agentopt.lib import wording
from agentopt.lib.charts import Chart
from ingestion import selectors as logs
from ingestion import usecases
from ingestion.values import LogFilter, LogRow
from projects.models import Project
from recommendations.drift import monitor, plots, rules, sentences, series
from recommendations.drift.models import Alert, AlertTransition, DriftCheck, DriftRule, DriftSeries, DriftWatch

LIVE = (Alert.State.OPEN, Alert.State.ACKNOWLEDGED, Alert.State.MUTED)
TONES = {
    Alert.State.OPEN: "bad", Alert.State.ACKNOWLEDGED: "info", Alert.State.MUTED: "open", Alert.State.EXPECTED: "open",
    Alert.State.RESOLVED: "ok",
}  # fmt: skip
PAGE = 50
SAMPLES = 10
BEFORE, AFTER = timedelta(days=21), timedelta(days=14)
MOST_SEGMENTS = 8


@dataclass(frozen=True)
class Line:
    """One alert in a list."""

    alert: Alert
    headline: str
    size: str
    tone: str
    calls: int


@dataclass(frozen=True)
class Inbox:
    """The list of alerts with what stands around it."""

    lines: Sequence[Line]
    older: int | None  # cursor of the next page
    n_open: int
    n_rules: int
    watch: DriftWatch | None
    learning: str  # why nothing is tested yet; "" where something is


def open_count(project: Project) -> int:
    """How many alerts are open."""
    return project.alerts.filter(state=Alert.State.OPEN).count()


def open_alerts(project: Project, *, limit: int = 3) -> list[Line]:
    """The newest open alerts, for the overview."""
    rows = project.alerts.filter(state=Alert.State.OPEN).select_related("project").order_by("-pk")
    return [line(one) for one in rows[:limit]]


def line(alert: Alert) -> Line:
    """An alert as lists show it."""
    return Line(
        alert, sentences.headline(alert), sentences.size(alert), TONES[Alert.State(alert.state)],
        int(alert.figures.get("calls") or 0),
    )  # fmt: skip


def inbox(project: Project, *, everything: bool, before: int | None = None) -> Inbox:
    """Live alerts, or all of them, the newest first."""
    rows: QuerySet[Alert] = project.alerts.select_related("project").order_by("-pk")
    if not everything:
        rows = rows.filter(state__in=LIVE)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: PAGE + 1])
    active = Count("project__drift_rules", filter=Q(project__drift_rules__active=True))
    watch = DriftWatch.objects.filter(project=project).defer("seen").annotate(n_rules=active).first()
    whole = before is None and len(found) <= PAGE  # all that are live stand here
    return Inbox(
        lines=[line(one) for one in found[:PAGE]],
        older=found[PAGE - 1].pk if len(found) > PAGE else None,
        n_open=sum(one.state == Alert.State.OPEN for one in found) if whole else open_count(project),
        n_rules=watch.n_rules if watch else 0,
        watch=watch,
        learning="" if found else _learning(project),
    )


def _learning(project: Project) -> str:
    """Why no series is tested yet; "" where one is, or nothing was looked at."""
    rows = DriftSeries.objects.filter(rule__project=project)
    if rows.filter(reference__isnull=False).exists():
        return ""
    return rows.exclude(trouble="").order_by("pk").values_list("trouble", flat=True).first() or ""


# ------------------------------------------------------------------------------------------------ one alert
@dataclass(frozen=True)
class Segment:
    """One part of the traffic and what it adds to the shift."""

    dimension: str
    name: str
    share_before: float
    share_after: float
    n: int
    part: float | None
    bar: str


@dataclass(frozen=True)
class Page:
    """All that the page of one alert shows."""

    alert: Alert
    headline: str
    size: str
    advice: str
    tone: str
    tiles: Sequence[tuple[str, str, str]]  # label, value, note
    charts: Sequence[Chart]
    segments: Sequence[Segment]
    related: Sequence[tuple[str, str]]  # words, moment
    samples: Sequence[LogRow]
    logs_url: str
    evaluate_url: str
    transitions: Sequence[AlertTransition]
    also: str


def page(alert: Alert) -> Page:
    """The complete context of an alert's page."""
    wanted, figures = _calls(alert), alert.figures
    of_judges = alert.kind == Alert.Kind.NEW_JUDGE
    return Page(
        alert=alert,
        headline=sentences.headline(alert),
        size=sentences.size(alert),
        advice=sentences.advice(alert),
        tone=TONES[Alert.State(alert.state)],
        tiles=_tiles(alert),
        charts=_charts(alert),
        segments=_segments(figures.get("segments", [])),
        related=[(sentences.related(one), one["at"]) for one in figures.get("related", [])],
        samples=[] if of_judges else logs.logs(alert.project, wanted, limit=SAMPLES).rows,
        logs_url="" if of_judges else _address(alert.project, wanted),
        evaluate_url=_evaluation(alert),
        transitions=list(alert.transitions.select_related("by").order_by("-pk")),
        also=" and ".join(series.view_name(alert.metric, one) for one in figures.get("also", [])),
    )


def _tiles(alert: Alert) -> list[tuple[str, str, str]]:
    figures = alert.figures
    if alert.kind == Alert.Kind.NEW_JUDGE:
        sides = [(side, wording.score(figures[side])) for side in ("before", "after")]
        return [
            ("Score before", sides[0][1], figures["was"]),
            ("Score since", sides[1][1], figures["now"]),
            ("Shift", wording.signed(figures["shift"]), f"95 %: {_bounds(alert)}"),
            ("Answers", wording.count(figures["n"]), "the same ones, judged again"),
        ]
    if alert.kind != Alert.Kind.SHIFT:
        return []
    n, reference = figures["n"], figures["reference"]
    return [
        ("Usual", series.said(alert.metric, figures["before"]), f"over {wording.count(reference['n'])} conversations"),
        ("Since then", series.said(alert.metric, figures["after"]), f"over {wording.count(n)} conversations"),
        ("Shift", sentences.size(alert).split(" (")[0], f"about 95 %: {_bounds(alert)}; estimates run 5 to 30 % high"),
        ("Calls since then", wording.short(figures["calls"]), "up to the alarm"),
    ]


def _bounds(alert: Alert) -> str:
    text = sentences.size(alert)
    return text[text.index("(") + 1 : -1] if "(" in text else wording.DASH


def _segments(found: Sequence[dict[str, Any]]) -> list[Segment]:
    # what served everything before and since stands out by nothing
    told = [one for one in found if one["part"] is not None and min(one["share_before"], one["share_after"]) < 0.999]
    shown = told[:MOST_SEGMENTS]
    return [
        Segment(
            one["dimension"].replace("_", " "), one["name"], one["share_before"], one["share_after"], one["n"],
            one["part"], f"{100 * min(1.0, max(0.0, one['part'])):.0f}%",
        )
        for one in shown
    ]  # fmt: skip


def _calls(alert: Alert) -> LogFilter:
    """The calls since it began, as the list of calls can tell them."""
    rule, model = alert.rule, ""
    if alert.kind == Alert.Kind.NEW_MODEL:
        model = alert.subject
    elif rule is not None and rule.scope == DriftRule.Scope.MODEL:
        model = rule.scope_value
    status = {"errors": "failed", "refusals": "refused"}.get(alert.metric, "")
    since = alert.began_at - timedelta(hours=1)
    return LogFilter(
        model=model, use_case=_use_case(alert), status=status, since=since,
        until=alert.alarm_at + timedelta(seconds=1),
        prompt_version=_prompt_version(alert),
    )  # fmt: skip


def _prompt_version(alert: Alert) -> str:
    """The version of the prompt that it is about; "" where it is about none."""
    if alert.kind == Alert.Kind.NEW_PROMPT_VERSION:
        return str(alert.subject)
    is_of_one = alert.rule is not None and alert.rule.scope == DriftRule.Scope.PROMPT_VERSION
    return str(alert.rule.scope_value) if alert.rule is not None and is_of_one else ""


def _use_case(alert: Alert) -> str:
    """The name of the use case that it is about; "" where it is about none."""
    rule = alert.rule
    pk = alert.part or (rule.scope_value if rule is not None and rule.scope == DriftRule.Scope.USE_CASE else "")
    return usecases.names(alert.project).get(int(pk), "") if pk.isdigit() else ""


def _address(project: Project, wanted: LogFilter) -> str:
    names = ("model", "use_case", "prompt_version", "status")
    asked = {name: getattr(wanted, name) for name in names if getattr(wanted, name)}
    for name, at in (("since", wanted.since), ("until", wanted.until)):
        if at is not None:
            asked[name] = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{reverse('ingestion:logs', args=[project.slug])}?{urlencode(asked)}"


def _evaluation(alert: Alert) -> str:
    """The form of a new evaluation, narrowed to the part of the traffic that the alert is about."""
    rule, asked = alert.rule, {}
    if rule is not None and rule.scope == DriftRule.Scope.MODEL:
        asked["baseline"] = rule.scope_value
    if name := _use_case(alert):
        asked["use_case"] = name
    if version := _prompt_version(alert):
        asked["prompt_version"] = version
    address = reverse("evaluation:create", args=[alert.project.slug])
    return f"{address}?{urlencode(asked)}" if asked else address


def _charts(alert: Alert) -> list[Chart]:
    if alert.kind != Alert.Kind.SHIFT:
        return []
    days = levels(alert)
    found = [plots.daily(days, alert.metric, figures=alert.figures, began=alert.began_at)] if days else []
    distribution = alert.figures.get("distribution")
    return [*found, plots.distribution(distribution, alert.metric)] if distribution else found


def levels(alert: Alert) -> list[tuple[datetime, float | None]]:
    """The level of each day around an alert, out of stored conversations."""
    from recommendations.drift import values

    since = (alert.began_at - BEFORE).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    found = _conversations(alert, since, alert.alarm_at + AFTER)
    if not len(found) or (alert.metric == "mix" and not alert.part.isdigit()):
        return []
    scope = values.Scope(alert.rule.scope, alert.rule.scope_value) if alert.rule else values.Scope()
    told, mask = values.read(found, alert.metric, part=alert.part, scope=scope)
    day = found.at_s[mask] // 86400
    if not day.size:
        return []
    return [
        (datetime.fromtimestamp(int(one) * 86400, UTC), values.level(told.x[day == one], alert.view))
        for one in range(int(day.min()), int(day.max()) + 1)
    ]


def _conversations(alert: Alert, since: datetime, until: datetime) -> Any:
    """Stored conversations, or for judged quality the judged calls."""
    if alert.metric != "quality":
        return monitor.stored(alert.project, since, until)
    from recommendations.drift import columns, quality

    judged = quality.scored(alert.project)
    return columns.empty() if judged is None else judged.everything.between(since.timestamp(), until.timestamp())


# ------------------------------------------------------------------------------------------------ rules
@dataclass(frozen=True)
class RuleRow:
    """One rule with how its series stand."""

    rule: DriftRule
    name: str
    scope: str
    state: str
    nearest: float | None  # the strongest evidence of its series, as a share of what an alarm takes


def rule_rows(project: Project) -> list[RuleRow]:
    """All rules, in the order they were made."""
    rows = list(project.drift_rules.prefetch_related("series").order_by("pk"))
    newest = DriftCheck.objects.filter(project=project).order_by("-since").first()
    evidence: dict[int, float] = {}
    for one in newest.findings if newest else []:
        if one.get("evidence") is not None:
            evidence[one["rule"]] = max(evidence.get(one["rule"], 0.0), one["evidence"])
    use_cases = [row.scope_value for row in rows if row.scope == DriftRule.Scope.USE_CASE]
    wanted = [int(value) for value in use_cases if value.isdigit()]
    named = project.use_cases.filter(pk__in=wanted).values_list("pk", "name") if wanted else []
    names = {str(pk): name for pk, name in named}
    return [_rule_row(row, evidence.get(row.pk), names, watch_began=newest is not None) for row in rows]


def _rule_row(rule: DriftRule, nearest: float | None, names: dict[str, str], *, watch_began: bool) -> RuleRow:
    value = names.get(rule.scope_value, rule.scope_value) if rule.scope == "use_case" else rule.scope_value
    scope = f"{rule.get_scope_display()} {value}" if rule.scope else "all conversations"
    return RuleRow(rule, rule.get_metric_display(), scope, _standing(rule, watch_began=watch_began), nearest)


def _standing(rule: DriftRule, *, watch_began: bool) -> str:
    if not rule.active:
        return "off"
    rows = list(rule.series.all())
    if any(row.reference is not None for row in rows):
        return "watching"
    if not rows and watch_began:
        return "no judged samples yet" if rule.metric == "quality" else "no use cases yet"
    return next((row.trouble for row in rows if row.trouble), "waits for the first check")


def rule_json(rule: DriftRule) -> dict[str, Any]:
    """A rule as the API shows it."""
    began = rule.metric in {"mix", "quality"} and DriftCheck.objects.filter(project=rule.project_id).exists()
    return {"id": rule.pk, **rules.terms_of(rule), "standing": _standing(rule, watch_began=began)}
