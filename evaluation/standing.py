"""How an evaluation stands: what failed and where, what cannot be replayed, time left, and forecast against actual."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet

from evaluation import counting, grounds, ledger, replay
from evaluation.counting import Counts
from evaluation.models import Candidate, Evaluation, Look, Replay, Verdict
from evaluation.selectors import Detail, Spend
from evaluation.values import LOW_COVERAGE
from ingestion.models import LogRecord

EXAMPLES = 3
PACE_OVER = timedelta(seconds=60)
TOLD_AFTER = 0.1  # of the expected calls: before that a time left would be a guess
# What another attempt may mend; the other failures are what the model answered, or the log lacks what to ask.
_LASTING = (*replay.LASTING_FAILURES, replay.NO_BODY)


# ------------------------------------------------------------------------------------------------ failures
@dataclass(frozen=True)
class Failure:
    """Calls of candidates that failed in one way at one provider; `retryable` of them may pass another time."""

    kind: str  # failed: by the model; missing: could not be asked
    reason: str
    provider: str
    count: int
    retryable: int


def failures(evaluation: Evaluation, counts: Counts | None = None) -> list[Failure]:
    """What failed, the most frequent first; the logged answers of the baseline are no calls."""
    rows: dict[tuple[str, str, str], tuple[int, int]] = {}
    for one in (counts or counting.read(evaluation)).asked:
        if not one.is_answered:
            n, done = rows.get((one.status, one.reason, one.provider), (0, 0))
            is_done = not one.again and one.source == Replay.Source.CALLED
            rows[one.status, one.reason, one.provider] = (n + one.n, done + one.n * is_done)
    found = [
        Failure(status, reason, provider, n, 0 if reason in _LASTING else done)
        for (status, reason, provider), (n, done) in rows.items()
    ]
    return sorted(found, key=lambda one: (-one.count, one.provider, one.reason))


def failed_calls(evaluation: Evaluation) -> "QuerySet[Replay]":
    """Calls of an evaluation that brought no answer."""
    own = Replay.objects.filter(sample__evaluation=evaluation).exclude(source=Replay.Source.LOGGED)
    return own.exclude(status=Replay.Status.ANSWERED)


# ------------------------------------------------------------------------------------------------ prompts, conditions
def prompts_paid(evaluation: Evaluation) -> int:
    """Prompts on which a call to a candidate was paid."""
    called = Replay.objects.filter(
        sample__evaluation=evaluation, source=Replay.Source.CALLED, candidate__position__gt=0
    )
    return called.aggregate(n=Count("sample", distinct=True))["n"] or 0


def prompts_at_most(evaluation: Evaluation) -> int:
    """Prompts that a candidate may be asked."""
    return min(evaluation.limit, evaluation.samples.count())


def shown(found: Detail, looks: Sequence[Look]) -> dict[str, Any] | None:
    """Conditions and looks of the leader, or of the candidate being tried; `looks`: the ranking first, by prompts."""
    leader = (found.outcome or {}).get("leader")
    trying = next((arm.id for arm in found.arms if arm.state == Candidate.State.TRYING), None)
    arm = next((arm for arm in found.arms if arm.id == (leader or trying)), None)
    if arm is None:
        return None
    return grounds.read(
        looks, candidate=arm.id, name=arm.name, baseline=found.row.baseline, limit=found.row.limit,
        live=found.outcome is None, recommended=bool(found.row.recommended),
    )  # fmt: skip


def conditions_of(found: Detail, looks: Sequence[Look]) -> list[dict[str, Any]]:
    """The state of each condition at the last look at the leader, or at the candidate being tried."""
    known = shown(found, looks)
    return known["checks"] if known else []


# ------------------------------------------------------------------------------------------------ coverage
@dataclass(frozen=True)
class Example:
    """A logged call that stands for others."""

    id: int
    source_id: str
    occurred_at: datetime


@dataclass(frozen=True)
class Gap:
    """Calls that are no part of the result, for one reason."""

    stage: str  # before: left out when the prompts were drawn; during: drawn, and could not be asked
    code: str
    label: str
    calls: int
    share: float | None  # of the calls in the window, or of the calls that were tried
    cost_share: float | None  # of the spend in the window
    examples: list[Example]


@dataclass(frozen=True)
class Coverage:
    """What the result stands for, and what it does not."""

    calls: int
    replayable: int
    tried: int  # calls to candidates that came to an end
    unasked: int  # of them, those that could not be asked
    share: float | None  # that can be replayed
    lost: float  # share of the traffic that is no part of the result: left out beforehand, or could not be asked
    is_low: bool
    gaps: list[Gap]


def coverage(evaluation: Evaluation, *, with_examples: bool = True, counts: Counts | None = None) -> Coverage:
    """What could not be replayed, by reason: calls left out beforehand, then drawn ones that could not be asked."""
    tried = (counts or counting.read(evaluation)).asked
    stored = evaluation.population
    calls, replayable = stored.get("calls") or 0, stored.get("replayable") or 0
    reasons: Counter[str] = Counter()
    for one in tried:
        if one.status == Replay.Status.MISSING:
            reasons[one.reason] += one.n
    n, unasked = sum(one.n for one in tried), reasons.total()
    before = [
        Gap(
            "before", gap["code"], gap["label"], gap["calls"], _share(gap["calls"], calls), gap.get("cost_share"),
            _left_out(evaluation, gap["code"]) if with_examples else [],
        )
        for gap in stored.get("left_out") or []
    ]  # fmt: skip
    during = [
        Gap(
            "during", reason, reason.replace("_", " "), count, _share(count, n), None,
            _unasked(evaluation, reason) if with_examples else [],
        )
        for reason, count in reasons.items()
    ]  # fmt: skip
    # the calls drawn stand for all that can be replayed, so what is lost of them is lost of these
    lost = 1 - (1 - (_share(calls - replayable, calls) or 0.0)) * (1 - (_share(unasked, n) or 0.0))
    return Coverage(
        calls=calls, replayable=replayable, tried=n, unasked=unasked, share=_share(replayable, calls),
        lost=lost, is_low=lost > LOW_COVERAGE, gaps=[*_largest(before), *_largest(during)],
    )  # fmt: skip


def _largest(gaps: Iterable[Gap]) -> list[Gap]:
    return sorted(gaps, key=lambda gap: (-gap.calls, gap.code))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _left_out(evaluation: Evaluation, code: str) -> list[Example]:
    window = Q(occurred_at__lte=evaluation.window_until)
    if evaluation.window_since is not None:
        window &= Q(occurred_at__gte=evaluation.window_since)
    if evaluation.prompt_version:
        window &= Q(prompt_version=evaluation.prompt_version)
    logs = evaluation.project.logs.newest().filter(window, model=evaluation.population.get("model", ""), obstacle=code)
    return _examples(logs)


def _unasked(evaluation: Evaluation, reason: str) -> list[Example]:
    lost = Replay.objects.filter(sample__evaluation=evaluation, status=Replay.Status.MISSING, reason=reason)
    wanted = lost.exclude(source=Replay.Source.LOGGED).order_by("sample__position").values_list("sample__record")
    return _examples(LogRecord.objects.filter(pk__in=[pk for (pk,) in wanted[:EXAMPLES]]))


def _examples(logs: "QuerySet[LogRecord]") -> list[Example]:
    rows = logs.order_by("-occurred_at", "-pk").values_list("pk", "source_id", "occurred_at")
    return [Example(*row) for row in rows[:EXAMPLES]]


# ------------------------------------------------------------------------------------------------ time left
@dataclass(frozen=True)
class Left:
    """Minutes that a run still takes at its present pace: if it ends as expected, and if it goes to its limit."""

    low: float
    high: float


def left(evaluation: Evaluation, done: Spend, *, now: datetime) -> Left | None:
    """None: too early to tell, or nothing came back within the last minute.

    The pace is of the last minute: the time since the start would count pauses.
    """
    wanted = evaluation.forecast
    expected = (wanted.get("replay_calls_expected") or 0) + (wanted.get("judge_calls_expected") or 0)
    most = (wanted.get("replay_calls_at_most") or 0) + (wanted.get("judge_calls_at_most") or 0)
    there = done.answers + done.verdicts
    if not expected or there < TOLD_AFTER * expected:
        return None
    since = max(now - PACE_OVER, evaluation.started_at or now)
    seconds = (now - since).total_seconds()
    if seconds <= 0:
        return None
    replays = Replay.objects.filter(sample__evaluation=evaluation, created_at__gte=since)
    verdicts = Verdict.objects.filter(replay__sample__evaluation=evaluation, created_at__gte=since)
    lately = replays.exclude(source=Replay.Source.LOGGED).count() + verdicts.count()
    if not lately:
        return None
    a_minute = lately / seconds * 60
    low, high = max(0, expected - there) / a_minute, max(0, most - there) / a_minute
    return Left(min(low, high), max(low, high))


# ------------------------------------------------------------------------------------------------ forecast and actual
@dataclass(frozen=True)
class Kept:
    """One number of the forecast beside what came of it; None: not known."""

    name: str
    unit: str  # count, usd or minutes
    expected: float | None
    low: float | None
    at_most: float | None
    actual: float | None
    is_within: bool | None  # None: nothing to compare with, or it has not ended
    likely_low: float | None = None  # the 80 % interval
    likely_high: float | None = None
    is_likely: bool | None = None  # within that; None as above
    why: str = ""  # the actual is not known, for another reason than that it has not ended


def against_forecast(evaluation: Evaluation, done: Spend, *, prompts: int) -> list[Kept]:
    """What was forecast beside what it took so far.

    Args:
        prompts: that the candidate tried longest has been asked.
    """
    told = evaluation.forecast
    money = [told.get(f"cost_{name}_nanousd") for name in ("expected", "low", "high", "p10", "p90")]
    expected_usd, low_usd, high_usd, p10_usd, p90_usd = (None if one is None else one / 1e9 for one in money)
    ended = evaluation.state == Evaluation.State.DONE
    asked, judged = ledger.tokens(evaluation)
    rows = [
        Kept(
            "Calls to models", "count", told.get("replay_calls_expected"), None, told.get("replay_calls_at_most"),
            done.model_calls, None,
        ),
        Kept(
            "Calls to judges", "count", told.get("judge_calls_expected"), None, told.get("judge_calls_at_most"),
            done.judge_calls, None,
        ),
        Kept(
            "Prompts", "count", told.get("prompts_expected"), None, told.get("prompts_at_most"), prompts, None
        ),
        # without a most: how many calls are made is bounded, how long they are is not
        Kept(
            "Tokens of models", "count", told.get("replay_tokens_expected"), None, None, asked.known, None,
            why=asked.why(),
        ),
        Kept(
            "Tokens of judges", "count", told.get("judge_tokens_expected"), None, None, judged.known, None,
            why=judged.why(),
        ),
        Kept("Spend", "usd", expected_usd, low_usd, high_usd, float(done.total_usd), None, p10_usd, p90_usd),
        Kept("Minutes", "minutes", told.get("minutes_expected"), None, None, _minutes(evaluation), None),
    ]  # fmt: skip
    return [_judged(row) for row in rows] if ended else rows


def forecast_kept(evaluation: Evaluation, found: Detail) -> list[Kept]:
    """The same with the prompts of the candidate that was tried longest."""
    return against_forecast(evaluation, found.spend, prompts=found.counts.prompts)


def _minutes(evaluation: Evaluation) -> float | None:
    if evaluation.started_at is None or evaluation.ended_at is None:
        return None
    return (evaluation.ended_at - evaluation.started_at).total_seconds() / 60


def _judged(row: Kept) -> Kept:
    """Say whether an ended run kept to the forecast's most; without a most there is nothing to keep to."""
    if row.actual is None or row.at_most is None:
        return row
    is_within = (row.low or 0.0) <= row.actual <= row.at_most
    is_likely = None
    if row.likely_low is not None and row.likely_high is not None:
        is_likely = row.likely_low <= row.actual <= row.likely_high
    return replace(row, is_within=is_within, is_likely=is_likely)


# ------------------------------------------------------------------------------------------------ costs
@dataclass(frozen=True)
class Cost:
    """What one model of an evaluation has cost so far: its answers, and the verdicts on them. Money in US dollars."""

    name: str
    provider: str
    calls: int
    reused: int
    replays_usd: float
    judges_usd: float
    unpriced: int  # paid answers whose price is not known: they count nothing


def costs(evaluation: Evaluation, counts: Counts | None = None) -> list[Cost]:
    """By model, in the order in which they are tried; pruned models cost nothing and are left out."""
    counts = counts or counting.read(evaluation)
    tried = evaluation.candidates.filter(position__isnull=False).select_related("offer").order_by("position")
    return [_cost(one, counts) for one in tried]


def _cost(candidate: Candidate, counts: Counts) -> Cost:
    own = [one for one in counts.answers if one.candidate == candidate.pk]
    called = [one for one in own if one.source == Replay.Source.CALLED and one.is_answered]
    judged = sum(one.paid for one in counts.verdicts if one.candidate == candidate.pk)
    return Cost(
        candidate.offer.name, candidate.offer.provider, sum(one.calls for one in own),
        sum(one.n for one in own if one.source == Replay.Source.CACHED), sum(one.paid for one in own) / 1e9,
        judged / 1e9, sum(one.n - one.priced for one in called),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ all of it
def summary(evaluation: Evaluation, found: Detail, *, now: datetime) -> dict[str, Any]:
    """Progress, failures, coverage and forecast against actual, as the API shows them."""
    lost, is_going = failures(evaluation, found.counts), evaluation.state == Evaluation.State.RUNNING
    remaining = left(evaluation, found.spend, now=now) if is_going else None
    return {
        "progress": {
            "answers": found.spend.answers,
            "verdicts": found.spend.verdicts,
            "prompts_paid": prompts_paid(evaluation),
            "prompts_at_most": prompts_at_most(evaluation),
            "conditions": conditions_of(found, found.looks),
            "answers_expected": found.forecast.get("replay_calls_expected"),
            "verdicts_expected": found.forecast.get("judge_calls_expected"),
            "retryable": sum(one.retryable for one in lost),
            "minutes_left_low": remaining.low if remaining else None,
            "minutes_left_high": remaining.high if remaining else None,
            "last_update": found.work.heartbeat_at if found.work else None,
        },
        "failures": lost,
        "coverage": coverage(evaluation, counts=found.counts),
        "forecast_against_actual": forecast_kept(evaluation, found),
    }


# ------------------------------------------------------------------------------------------------ activity
@dataclass(frozen=True)
class Event:
    """Something a person or a program did to an evaluation."""

    at: datetime
    by: str  # empty: a program
    text: str


def activity(evaluation: Evaluation) -> list[Event]:
    """What people and programs did to it, the newest first."""
    entries = evaluation.project.audit.filter(
        action__startswith="evaluation.", target=f"evaluation {evaluation.number}"
    )
    rows = entries.select_related("user").order_by("-at", "-pk")[:200]
    return [Event(row.at, row.user.email if row.user else "", _said(row.action, row.after)) for row in rows]


_ACTIONS = {
    "evaluation.open": "Opened", "evaluation.queued": "Resumed", "evaluation.paused": "Paused",
    "evaluation.cancelled": "Cancelled", "evaluation.retry": "Had failed calls asked again",
}  # fmt: skip


def _said(action: str, after: dict[str, Any] | None) -> str:
    said = _ACTIONS.get(action, action.removeprefix("evaluation.").replace("_", " ").capitalize())
    told = after or {}
    if "cap_nanousd" in told:
        said += f", with a cap of ${told['cap_nanousd'] / 1e9:.2f}"
    if "calls" in told:
        said += f": {told['calls']} calls"
    return said
