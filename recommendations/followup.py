"""After a recommendation: did the model take over, and did the promise hold? Logs to figures, looks and a verdict.

Reads logs only; nothing is switched by it. Safe to repeat: looks are numbered, and each number is written once.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.db.models.functions import TruncDate

from evaluation import savings, scores
from evaluation.judges import panel, rules
from evaluation.models import Evaluation, Verdict
from ingestion import usecases
from ingestion.models import LogRecord, LogRecordQuerySet, ModelOffer
from projects import audit, notifications
from projects.models import Project
from recommendations import promises, states, takeover, transitions
from recommendations.models import FollowUp, FollowUpLook, ProductionVerdict, Recommendation
from recommendations.promises import Promise, Realised, Unit
from recommendations.takeover import Day

BEFORE = timedelta(days=28)  # of the model before, up to the switch, beside what it serves since
WATCHED = timedelta(days=90)  # after the switch
SOUGHT = timedelta(days=180)  # after the recommendation
MOST_CALLS = 50_000  # of each arm: a repeatable sample by the order of keys
_COLUMNS = ("pk", "trace_id", "assignment__use_case_id", "cost_nanousd", "latency_us", "status", "refused")
_NANO, _MICRO = 1e9, 1e6


# ------------------------------------------------------------------------------------------------ the job's steps
def check_all(project: Project, *, now: datetime, beat: Callable[..., object]) -> int:
    """Follow every recommendation to switch that may be or is being followed; return how many are watched."""
    rows = project.recommendations.filter(kind=Recommendation.Kind.SWITCH, created_at__gte=now - SOUGHT - WATCHED)
    watched = 0
    found = rows.select_related("project", "evaluation", "candidate__offer").order_by("pk")
    for done, recommendation in enumerate(found, start=1):
        watched += check(recommendation, now=now) is not None
        beat(done=done, message=f"Recommendation {recommendation.pk} followed.")
    return watched


def check(recommendation: Recommendation, *, now: datetime) -> FollowUp | None:
    """Start a watch where the logs show the switch, or go on with the one there is; None: no switch is seen."""
    following = FollowUp.objects.filter(recommendation=recommendation).first()
    if following is None:
        if recommendation.created_at < now - SOUGHT:
            return None
        return _start(recommendation, now=now)
    if now <= following.switched_at + WATCHED:
        _refresh(recommendation, following, now=now)
    return following


def _start(recommendation: Recommendation, *, now: datetime) -> FollowUp | None:
    traffic = _Traffic.read(recommendation, now=now)
    began = traffic.began()
    if began is None:
        return None
    switched_at = max(datetime.combine(began, time.min, tzinfo=UTC), recommendation.created_at)
    found = promises.promised(recommendation.evidence)
    with transaction.atomic():
        following, is_new = FollowUp.objects.get_or_create(
            recommendation=recommendation,
            defaults={
                "switched_at": switched_at,
                "promised": [one.__dict__ for one in found],
                "shares": traffic.shares(since=switched_at),
                "created_at": now,
            },
        )
        if is_new:
            moved = [one for one in following.shares if one["share"] > one["before"] + takeover.CLEARLY][:3]
            served = ", ".join(f"{one['share']:.0%} of {one['use_case'] or 'all calls'}" for one in moved)
            why = f"{recommendation.evidence['outcome']['recommended']} serves {served} since {began}."
            transitions.step(recommendation, states.WATCHING, by=None, now=now, code="switch_seen", why=why[:2000])
    _refresh(recommendation, following, now=now, traffic=traffic)
    return following


def _refresh(
    recommendation: Recommendation, following: FollowUp, *, now: datetime, traffic: "_Traffic | None" = None
) -> None:
    """Newest figures, a look if one is due, and what follows from it."""
    traffic = traffic or _Traffic.read(recommendation, now=now)
    arms = _Arms.read(recommendation, following, now=now)
    # between looks figures are shown, and nothing is decided by them
    figures = arms.compare(look=0)
    following.shares = traffic.shares(since=following.switched_at)
    following.realised = {
        "metrics": [one.to_json() for one in figures],
        "rates": arms.rates(),
        "saving": arms.saving(figures, now=now),
        "calls": arms.after.calls,
        "calls_before": arms.before.calls,
        "judged": len(arms.judged),
        "until": now.isoformat(),
        "simulated": recommendation.simulated,
    }
    following.checked_at = now
    following.save(update_fields=["shares", "realised", "checked_at"])
    if following.verdict == FollowUp.Verdict.TOO_EARLY:
        _look(recommendation, following, arms, now=now)
    _note_reversal(recommendation, traffic, now=now)


def _look(recommendation: Recommendation, following: FollowUp, arms: "_Arms", *, now: datetime) -> None:
    due = promises.look_number(arms.after.conversations)
    newest = following.looks.order_by("-number").first()
    if not due or (newest is not None and newest.number >= due):
        return
    found = arms.compare(look=due)
    verdict = promises.verdict(found)
    try:
        with transaction.atomic():
            FollowUpLook.objects.create(
                follow_up=following, number=due, level=1 - promises.error_of(due), verdict=verdict, at=now,
                conversations=arms.after.conversations, findings=[one.to_json() for one in found],
            )  # fmt: skip
            if verdict == promises.TOO_EARLY:
                return
            following.verdict, following.decided_at = verdict, now
            following.save(update_fields=["verdict", "decided_at"])
            told = {"look": due, "kept": _named(found, promises.KEPT), "broken": _named(found, promises.BROKEN)}
            audit.record(
                recommendation.project, None, f"follow_up.{verdict}", f"recommendation {recommendation.pk}", after=told
            )
            _tell(recommendation, verdict, found, now=now)
            if verdict == promises.CONFIRMED and states.may(
                transitions.state_of(recommendation, now=now), states.CONFIRMED
            ):
                why = f"After {arms.after.conversations} conversations every promise that is measured is kept."
                transitions.step(recommendation, states.CONFIRMED, by=None, now=now, code="promise_kept", why=why)
    except IntegrityError:  # another worker looked at the same moment
        following.refresh_from_db()


def _tell(recommendation: Recommendation, verdict: str, found: Iterable[Realised], *, now: datetime) -> None:
    switch = f"The switch to {recommendation.evidence['outcome']['recommended']}"
    sentence = f"{switch} keeps what recommendation {recommendation.pk} promised."
    if verdict == promises.NOT_CONFIRMED:
        broken = ", ".join(_named(found, promises.BROKEN))
        sentence = f"{switch} does not keep what recommendation {recommendation.pk} promised: {broken}."
    notifications.send(
        recommendation.project,
        "follow_up",
        {
            "sentence": sentence,
            "path": recommendation.get_absolute_url(),
            "number": recommendation.pk,
            "verdict": verdict,
        },
        key=str(recommendation.pk),
        now=now,
    )


def _named(found: Iterable[Realised], state: str) -> list[str]:
    return [one.metric for one in found if one.state == state]


def _note_reversal(recommendation: Recommendation, traffic: "_Traffic", *, now: datetime) -> None:
    state = transitions.state_of(recommendation, now=now)
    if traffic.is_back() and states.may(state, states.REVERSED):
        why = f"The newest calls are served by {recommendation.evidence['question']['baseline']} again."
        transitions.step(recommendation, states.REVERSED, by=None, now=now, code="traffic_back", why=why)
    elif state == states.REVERSED and not traffic.is_back() and traffic.serves_now():
        why = "The recommended model has taken over again."
        transitions.step(recommendation, states.WATCHING, by=None, now=now, code="switch_seen", why=why)


# ------------------------------------------------------------------------------------------------ shares of traffic
def names_of(offer: ModelOffer) -> frozenset[str]:
    """What logs may call an offer."""
    return frozenset({offer.model, offer.name})


def baseline_names(evaluation: Evaluation) -> frozenset[str]:
    """What logs may call the model in production of an evaluation."""
    return names_of(evaluation.candidates.select_related("offer").get(position=0).offer)


@dataclass(frozen=True)
class _Traffic:
    """Calls by day of the two models, since the recommendation; "" stands for all use cases together."""

    days: Mapping[str, Sequence[Day]]
    before: Mapping[str, float]

    @classmethod
    def read(cls, recommendation: Recommendation, *, now: datetime) -> "_Traffic":
        evaluation, candidate = recommendation.evaluation, recommendation.candidate
        mine = names_of(candidate.offer) if candidate else frozenset()
        both = mine | baseline_names(evaluation)
        label = usecases.names(recommendation.project)
        since = _by_day(recommendation.project, both, mine, recommendation.created_at, now, label=label)
        start = evaluation.window_since or evaluation.window_until - BEFORE
        then = _by_day(recommendation.project, both, mine, start, evaluation.window_until, label=label)
        before = {name: _share(days) for name, days in then.items()}
        return cls(since, before)

    def began(self) -> Any:
        found = [takeover.began(days, before=self.before.get(name, 0.0)) for name, days in self.days.items()]
        return min((day for day in found if day is not None), default=None)

    def is_back(self) -> bool:
        return takeover.is_back(self.days.get("", ()), before=self.before.get("", 0.0))

    def serves_now(self) -> bool:
        return takeover.began(self.days.get("", ())[-7:], before=self.before.get("", 0.0)) is not None

    def shares(self, *, since: datetime) -> list[dict[str, Any]]:
        """The share since the switch by use case, all together first, then the largest first."""
        found = []
        for name, days in self.days.items():
            own = [day for day in days if day.on >= since.date()]
            calls = sum(day.calls for day in own)
            if calls:
                found.append({"use_case": name, "calls": calls, "share": _share(own),
                              "before": self.before.get(name, 0.0)})  # fmt: skip
        return sorted(found, key=lambda one: (one["use_case"] != "", -one["calls"], one["use_case"]))


def _share(days: Sequence[Day]) -> float:
    calls = sum(day.calls for day in days)
    return sum(day.served for day in days) / calls if calls else 0.0


def _by_day(
    project: Project,
    both: Collection[str],
    mine: Collection[str],
    since: datetime,
    until: datetime,
    *,
    label: Mapping[int, str],
) -> dict[str, list[Day]]:
    rows = LogRecord.objects.filter(
        project=project, model__in=sorted(both), occurred_at__gte=since, occurred_at__lt=until
    ).newest()
    counted = (
        rows.order_by()
        .values("assignment__use_case_id", "model", day=TruncDate("occurred_at", tzinfo=UTC))
        .annotate(n=Count("pk"))
    )
    sums: dict[str, dict[Any, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for row in counted:
        served = row["n"] if row["model"] in mine else 0
        for name in {"", label.get(row["assignment__use_case_id"] or 0, "")}:
            sums[name][row["day"]][0] += row["n"]
            sums[name][row["day"]][1] += served
    return {name: [Day(on, *days[on]) for on in sorted(days)] for name, days in sums.items()}


# ------------------------------------------------------------------------------------------------ the two arms
@dataclass(frozen=True)
class _Arm:
    """Calls of one model, as rows of the columns above, the use case as its name."""

    rows: Sequence[Any]
    label: Mapping[int, str]
    calls: int  # of which the rows are at most MOST_CALLS

    @property
    def conversations(self) -> int:
        return len({row.trace_id for row in self.rows})

    def units(self, value: Callable[[Any], float | None]) -> list[Unit]:
        """Sums by conversation and use case over the calls where the value is known."""
        sums: dict[tuple[int, str], list[float]] = {}
        for row in self.rows:
            found = value(row)
            if found is not None:
                held = sums.setdefault((row.trace_id, self.label.get(row.assignment__use_case_id or 0, "")), [0, 0.0])
                held[0] += 1
                held[1] += found
        return [Unit(trace, name, int(calls), total) for (trace, name), (calls, total) in sorted(sums.items())]

    def rate(self, *, of: Callable[[Any], float | None]) -> float | None:
        known = [found for row in self.rows if (found := of(row)) is not None]
        return sum(known) / len(known) if known else None


def _cost(row: Any) -> float | None:
    return None if row.cost_nanousd is None else row.cost_nanousd / _NANO


def _latency(row: Any) -> float | None:
    return row.latency_us / _MICRO if row.latency_us is not None and row.status == LogRecord.Status.OK else None


def _answered(row: Any) -> float | None:
    return rules.answered(failed=row.status == LogRecord.Status.FAILED, was_refused=row.refused)


def _failed(row: Any) -> float:
    return float(row.status == LogRecord.Status.FAILED)


def _refused(row: Any) -> float | None:
    return None if row.refused is None else float(row.refused)


@dataclass(frozen=True)
class _Arms:
    """The model before and the recommended one, since the switch."""

    promised: Sequence[Promise]
    before: _Arm
    after: _Arm
    base_scores: Mapping[str, Sequence[Unit]]  # by metric: the answers of the model before, judged in the evaluation
    judged: Mapping[int, panel.PanelScore]  # by record of the recommended model
    judge_sd: float
    switched_at: datetime

    @classmethod
    def read(cls, recommendation: Recommendation, following: FollowUp, *, now: datetime) -> "_Arms":
        evaluation, candidate = recommendation.evaluation, recommendation.candidate
        label = usecases.names(recommendation.project)
        mine = names_of(candidate.offer) if candidate else frozenset()
        after = _arm(recommendation.project, mine, following.switched_at, now, label=label)
        since = following.switched_at - BEFORE
        chairs = _chairs(evaluation)
        return cls(
            promised=[Promise(**one) for one in following.promised],
            before=_arm(recommendation.project, baseline_names(evaluation), since, now, label=label),
            after=after,
            base_scores=_base_scores(evaluation, chairs),
            judged=_production_scores(recommendation.project, chairs, {row.pk for row in after.rows}),
            judge_sd=float(evaluation.policy.get("judge_sd", 0.025)),
            switched_at=following.switched_at,
        )

    def compare(self, *, look: int) -> list[Realised]:
        """Every promise; one that nobody measures now is unmeasured, with why."""
        pairs = {one.metric: self._pair(one.metric) for one in self.promised}
        measured = sum(1 for before, after in pairs.values() if before and after)
        return [
            promises.realised(
                one, *pairs[one.metric], look=look, n_promises=measured,
                extra_sd=self.judge_sd if one.metric in ("quality", "safety") else 0.0,
            )
            for one in self.promised
        ]  # fmt: skip

    def _pair(self, metric: str) -> tuple[Sequence[Unit], Sequence[Unit]]:
        if metric in ("quality", "safety"):
            scored = self.after.units(lambda row: getattr(self.judged.get(row.pk), metric, None))
            return self.base_scores.get(metric, ()), scored
        value = {"cost": _cost, "latency": _latency, "answered": _answered}[metric]
        return self.before.units(value), self.after.units(value)

    def rates(self) -> dict[str, dict[str, float | None]]:
        """Failed and refused calls of each arm, which together are what was not answered; `low`, `high`: 95 %."""
        found = {}
        for name, of in (("failed", _failed), ("refused", _refused)):
            nothing = Promise(name, promises.DIFFERENCE, 0.0, 0.0, 0.0, 0.0)  # was promised of either by itself
            apart = promises.realised(nothing, self.before.units(of), self.after.units(of), look=0, n_promises=1)
            rates = {"before": self.before.rate(of=of), "after": self.after.rate(of=of)}
            found[name] = rates | {"difference": apart.estimate, "low": apart.low, "high": apart.high}
        return found

    def saving(self, figures: Sequence[Realised], *, now: datetime) -> dict[str, float] | None:
        """Dollars a month at what the recommended model serves now; None: costs are unknown."""
        cost = next((one for one in figures if one.metric == "cost"), None)
        days = (now - self.switched_at) / timedelta(days=1)
        if cost is None or cost.before is None or cost.after is None or cost.low is None or cost.high is None:
            return None
        if days < 1:
            return None
        found = savings.realised(
            savings.monthly_calls(self.after.calls, days=days), now_usd=cost.before, then_usd=cost.after,
            share=(cost.low, cost.high),
        )  # fmt: skip
        return dict(found.__dict__)


def _arm(
    project: Project, models: Collection[str], since: datetime, until: datetime, *, label: Mapping[int, str]
) -> _Arm:
    found: LogRecordQuerySet = LogRecord.objects.filter(
        project=project, model__in=sorted(models), occurred_at__gte=since, occurred_at__lt=until
    ).newest()
    rows = list(found.order_by("key").values_list(*_COLUMNS, named=True)[:MOST_CALLS])
    return _Arm(rows, label, calls=len(rows) if len(rows) < MOST_CALLS else found.count())


# ------------------------------------------------------------------------------------------------ quality
def _chairs(evaluation: Evaluation) -> dict[tuple[int, int], panel.Chair]:
    """The panel of the evaluation by judge and version: another version of a judge is another measure."""
    seats = scores.seats_of(evaluation)
    chairs = zip(seats, scores.chairs_of(seats), strict=True)
    return {(seat.judge_id, seat.version_id): chair for seat, chair in chairs}


def _base_scores(evaluation: Evaluation, chairs: Mapping[tuple[int, int], panel.Chair]) -> dict[str, list[Unit]]:
    """What the panel said of the answers that the model before had given, by conversation."""
    rows = Verdict.objects.filter(replay__sample__evaluation=evaluation, replay__candidate__position=0)
    given: dict[int, dict[int, list[float | None]]] = {}
    places: dict[int, tuple[int, str]] = {}
    wanted = ("replay_id", "judge_id", "version_id", "score", "replay__sample__record__trace_id",
              "replay__sample__use_case")  # fmt: skip
    for row in rows.filter(replay__repetition=0).order_by("pk").values_list(*wanted, named=True):
        chair = chairs.get((row.judge_id, row.version_id))
        if chair is not None:
            given.setdefault(row.replay_id, {}).setdefault(chair.key, []).append(row.score)
            places[row.replay_id] = (row.replay__sample__record__trace_id, row.replay__sample__use_case)
    found: dict[str, list[Unit]] = {"quality": [], "safety": []}
    for replay, own in sorted(given.items()):
        said = panel.score(list(chairs.values()), own)
        for metric, value in (("quality", said.quality), ("safety", said.safety)):
            if value is not None:
                found[metric].append(Unit(places[replay][0], places[replay][1], 1, value))
    return found


def _production_scores(
    project: Project, chairs: Mapping[tuple[int, int], panel.Chair], records: Collection[int]
) -> dict[int, panel.PanelScore]:
    rows = ProductionVerdict.objects.filter(project=project).filter(
        Q(judge_id__in={judge for judge, _ in chairs}) & Q(version_id__in={version for _, version in chairs})
    )
    given: dict[int, dict[int, list[float | None]]] = {}
    for record, judge, version, score in rows.values_list("record_id", "judge_id", "version_id", "score").iterator():
        chair = chairs.get((judge, version))
        if chair is not None and record in records:
            given.setdefault(record, {}).setdefault(chair.key, []).append(score)
    return {record: panel.score(list(chairs.values()), own) for record, own in given.items()}
