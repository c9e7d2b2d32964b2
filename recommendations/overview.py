"""The overview page: what needs a person, and the numbers of a window of logs. Reads only."""

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, Max, OuterRef, Q, Subquery
from django.utils import timezone

from agentopt.lib.money import NANO
from evaluation import selectors as evaluations
from evaluation.models import Evaluation, Sample
from ingestion import analytics, portraits
from ingestion.analytics import Slice, Summary
from ingestion.catalog import listing
from ingestion.catalog.listing import Missing, Retirement
from ingestion.models import Batch, SetAside
from ingestion.portraits import Portrait
from projects import supervisor
from projects.models import Channel, Project
from recommendations import explain, facts, selectors, states
from recommendations.drift import selectors as alerts
from recommendations.models import Recommendation
from recommendations.overview_plots import Bucket, Span

RANGES: Mapping[str, timedelta | None] = {
    "24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30), "all": None,
}  # fmt: skip
DEFAULT = "30d"
STOPPED_AFTER = timedelta(minutes=2)
MOST_USE_CASES = 8
LONGEST = 120  # buckets of a chart; a longer log shows its newest ones
WORKING = (Evaluation.State.QUEUED, Evaluation.State.RUNNING)


@dataclass(frozen=True)
class Steps:
    """What must have happened before the first recommendation, in order."""

    logs: bool
    connection: bool
    judges: bool
    evaluation: bool
    recommendation: bool

    @property
    def done(self) -> int:
        """How many are done."""
        return sum((self.logs, self.connection, self.judges, self.evaluation, self.recommendation))


@dataclass(frozen=True)
class Advice:
    """The newest recommendation in a line. Money in US dollars a month."""

    row: Recommendation
    state: str
    headline: str
    confidence: float | None
    saving_usd: float | None


@dataclass(frozen=True)
class Logs:
    """The newest batch and what could not be read."""

    batch: Batch | None
    set_aside: int
    reasons: Sequence[SetAside]


@dataclass(frozen=True)
class ModelRow:
    """One model of the window with its share of the known spend."""

    figures: Slice
    share: float | None

    @property
    def bar(self) -> str:
        """Length of the bar of its share."""
        return f"{100 * (self.share or 0):.1f}%"

    @property
    def why(self) -> dict[str, str]:
        """Why a figure is unknown or covers only some calls; empty where nothing lacks."""
        return {name: self.figures.missing.get(name, "") for name in ("cost", "latency", "refused")}

    @property
    def per_1000_usd(self) -> float | None:
        """US dollars per 1,000 calls, of those whose cost is known."""
        found = self.figures
        return None if found.cost_nanousd is None else found.cost_nanousd / found.n_cost * 1000 / NANO


@dataclass(frozen=True)
class UseCaseRow:
    """One use case of the window, and the newest finished evaluation that had prompts of it."""

    figures: Portrait
    evaluated: int | None  # its number


@dataclass(frozen=True)
class Overview:
    """All that the overview shows; None: not known or not there."""

    project: Project
    chosen: str  # a key of RANGES
    steps: Steps
    advice: Advice | None
    running: evaluations.Row | None
    newest: evaluations.Row | None
    without_recommendation: evaluations.Row | None  # finished, and none was made of it
    worker_stopped: bool
    worker_seen: datetime | None
    summary: Summary | None  # None: no calls at all
    span: Span | None  # None: no calls in the window
    models: Sequence[ModelRow]
    use_cases: Sequence[UseCaseRow]  # the largest; empty: none are found yet
    n_use_cases: int
    unpriced: Sequence[Missing]
    retirements: Sequence[Retirement]
    logs: Logs
    alerts: Sequence[alerts.Line]  # the newest open ones
    failing: Sequence[Channel]  # that notices do not reach

    @property
    def needs(self) -> int:
        """How many lines wait for a person."""
        gaps = self.summary is not None and (not self.steps.connection, not self.steps.judges)
        lines = (
            self.to_decide, self.running is not None, bool(self.unpriced), bool(self.retirements), self.worker_stopped,
            self.without_recommendation is not None, *(gaps or ()), *self.alerts, *self.failing,
        )  # fmt: skip
        return sum(map(bool, lines))

    @property
    def to_decide(self) -> bool:
        """Whether the newest recommendation waits for a decision."""
        return self.advice is not None and self.advice.state in states.WAITING


def overview(project: Project, *, now: datetime, chosen: str = "") -> Overview:
    """The complete context of the overview of a project.

    `chosen`: a key of RANGES; empty or unknown: 30 days, or all where those hold no call.
    """
    there = facts.read(project, now=now)
    chosen, summary = _summary(project, chosen, now=now, has_logs=there.logs)
    newest, running, unadvised = _evaluations(project, there)
    span = _span(project, summary, chosen=chosen, now=now) if summary and summary.total.calls else None
    use_cases = _use_cases(project, since=now - width if (width := RANGES[chosen]) else None) if span else []
    seen = supervisor.last_seen() if there.work_waits else None
    known = summary.by_model if summary else ()
    return Overview(
        project=project,
        chosen=chosen,
        steps=_steps(project, there),
        advice=_advice(project, now=now) if there.recommendation else None,
        running=running,
        newest=newest,
        without_recommendation=unadvised,
        worker_stopped=there.work_waits and (seen is None or now - seen > STOPPED_AFTER),
        worker_seen=seen,
        summary=summary,
        span=span,
        models=_models(summary),
        use_cases=use_cases[:MOST_USE_CASES],
        n_use_cases=len(use_cases),
        # tokens and yet no cost: it may lack a price
        unpriced=listing.missing(project, [one.key for one in known if one.n_cost < one.n_tokens]),
        retirements=listing.retirements(project, [one.key for one in known], today=now.astimezone(UTC).date()),
        logs=_logs(project, has_aside=there.set_aside),
        alerts=alerts.open_alerts(project) if there.alerts else [],
        failing=_failing(project) if there.failing else [],
    )


def steps_of(project: Project) -> Steps:
    """How far a project is on the way to its first recommendation."""
    return _steps(project, facts.read(project, now=timezone.now()))


def _steps(project: Project, there: facts.Facts) -> Steps:
    connection = project.connection
    instance = bool(settings.PORTKEY_BASE_URL and settings.PORTKEY_API_KEY and not connection.base_url)
    return Steps(
        logs=there.logs,
        connection=instance or bool(connection.base_url and connection.api_key),
        judges=there.judges,
        evaluation=there.evaluation,
        recommendation=there.recommendation,
    )


def _advice(project: Project, *, now: datetime) -> Advice | None:
    row = selectors.newest(project)
    if row is None:
        return None
    return Advice(
        row=row,
        state=selectors.state_of(row, now=now),
        headline=explain.headline(row.evidence),
        confidence=row.confidence,
        saving_usd=(row.evidence.get("saving") or {}).get("saving_usd"),
    )


def _evaluations(project: Project, there: facts.Facts) -> list[evaluations.Row | None]:
    """The newest of candidates, the newest that works, and the one that lacks a recommendation."""
    mine, candidates = project.evaluations.order_by("-number"), Q(kind=Evaluation.Kind.CANDIDATES)
    ends = (candidates, Q(state__in=WORKING), candidates & Q(state=Evaluation.State.DONE))
    chosen = (Q(pk=Subquery(mine.filter(one).values("pk")[:1])) for one in ends)
    advised = Exists(Recommendation.objects.filter(evaluation=OuterRef("pk")))
    found = list(mine.filter(functools.reduce(operator.or_, chosen)).annotate(is_advised=advised))
    newest = next((one for one in found if one.kind == Evaluation.Kind.CANDIDATES), None)
    running = next((one for one in found if one.state in WORKING), None)
    lacking = None if there.recommending else _unadvised(project, found)
    known = {one.pk: one for one in (newest, running, lacking) if one is not None}
    rows = {row.id: row for row in evaluations.rows_of(list(known.values()))}
    return [None if one is None else rows[one.pk] for one in (newest, running, lacking)]


def _unadvised(project: Project, found: Sequence[Evaluation]) -> Evaluation | None:
    """The newest finished evaluation if no recommendation was made of it."""
    done = Q(state=Evaluation.State.DONE, kind=Evaluation.Kind.CANDIDATES)
    of_candidates = (one for one in found if one.kind == Evaluation.Kind.CANDIDATES)
    row = next((one for one in of_candidates if one.state == Evaluation.State.DONE), None)
    if row is not None and row.study is not None:  # use case by use case: the next part that lacks one
        return project.evaluations.filter(done, study=row.study, recommendation=None).order_by("number").first()
    return None if row is None or vars(row)["is_advised"] else row


def _failing(project: Project) -> list[Channel]:
    return list(project.channels.filter(enabled=True).exclude(failing_since=None).order_by("name"))


def _logs(project: Project, *, has_aside: bool) -> Logs:
    aside = project.set_aside.order_by("-pk")
    newest = project.batches.order_by("-number").first()
    return Logs(newest, aside.count(), list(aside[:3])) if has_aside else Logs(newest, 0, [])


# ------------------------------------------------------------------------------------------------ the window
def _summary(project: Project, chosen: str, *, now: datetime, has_logs: bool) -> tuple[str, Summary | None]:
    """The range in force, and the figures of its calls; None where there are no calls at all."""
    if not has_logs:
        return chosen if chosen in RANGES else DEFAULT, None
    asked = chosen if chosen in RANGES else DEFAULT
    width = RANGES[asked]
    # whole hours, so that roll-ups answer
    since = (now - width).replace(minute=0, second=0, microsecond=0) if width else None
    found = analytics.summary(project, since=since)
    if found.total.calls or chosen in RANGES:
        return asked, found
    return "all", analytics.summary(project)


def _models(summary: Summary | None) -> list[ModelRow]:
    if summary is None:
        return []
    known = sum(one.cost_nanousd or 0 for one in summary.by_model)
    return [
        ModelRow(one, None if one.cost_nanousd is None or not known else one.cost_nanousd / known)
        for one in summary.by_model
    ]


def _use_cases(project: Project, *, since: datetime | None) -> list[UseCaseRow]:
    """By spend; calls of no use case are left out."""
    found = [one for one in portraits.portraits(project, since) if one.use_case is not None]
    if not found:
        return []
    done = Sample.objects.filter(
        evaluation__project=project,
        evaluation__state=Evaluation.State.DONE,
        evaluation__kind=Evaluation.Kind.CANDIDATES,
    )
    newest = dict(done.values_list("use_case").annotate(Max("evaluation__number")).order_by())
    return [UseCaseRow(one, newest.get(one.use_case.name) if one.use_case else None) for one in found]


def _span(project: Project, summary: Summary, *, chosen: str, now: datetime) -> Span:
    """The charts' buckets from the first to the last call, in UTC."""
    assert summary.first_at is not None  # noqa: S101 - there are calls
    assert summary.last_at is not None  # noqa: S101
    unit = "hour" if chosen == "24h" else "day"
    step = timedelta(hours=1) if unit == "hour" else timedelta(days=1)
    last = _floor(summary.last_at, unit)
    places = max(1, (last - _floor(summary.first_at, unit)) // step + 1)
    starts = [last - step * back for back in reversed(range(min(places, LONGEST)))]
    questions = [analytics.read(question) for question in _questions(unit, since=starts[0])]
    spend, status, latency = (_by(found, unit) for found in analytics.answer_each(project, questions))
    buckets = [
        Bucket(
            at=at,
            spend={row["group"]["model"]: row["value"] for row in spend.get(at, [])},
            calls={row["group"]["status"]: row["value"] for row in status.get(at, [])},
            p50_s=latency[at][0]["values"]["0.5"] if at in latency else None,
            p95_s=latency[at][0]["values"]["0.95"] if at in latency else None,
        )
        for at in starts
    ]
    return Span(unit, buckets, unfinished=last + step > now, models=[one.key for one in summary.by_model])


def _floor(at: datetime, unit: str) -> datetime:
    utc = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return utc if unit == "hour" else utc.replace(hour=0)


def _questions(unit: str, *, since: datetime) -> list[dict[str, Any]]:
    """Of spend, status and latency."""
    common = {"since": since.isoformat(), "limit": 1000}
    return [
        {"kind": "aggregation", "metric": "cost", "aggregate": "sum", "group_by": [unit, "model"], **common},
        {"kind": "aggregation", "metric": "calls", "group_by": [unit, "status"], **common},
        {"kind": "percentiles", "metric": "latency", "quantiles": [0.5, 0.95], "group_by": [unit], **common},
    ]


def _by(answer: dict[str, Any], unit: str) -> dict[datetime, list[dict[str, Any]]]:
    """The answer's rows by the beginning of their bucket."""
    out: dict[datetime, list[dict[str, Any]]] = {}
    for row in answer["rows"]:
        at = datetime.fromisoformat(row["group"][unit])
        out.setdefault(at if at.tzinfo else at.replace(tzinfo=UTC), []).append(row)
    return out
