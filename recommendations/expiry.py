"""When does a recommendation no longer stand? Prices, prompt version, mix, retirement, judges, and thirty days."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db import transaction
from django.db.models import Count
from django.db.models.functions import TruncDate

from agentopt.lib.wording import interval, signed
from evaluation import accuracy
from evaluation.statistics.fitness import Card
from ingestion import usecases
from ingestion.models import LogRecord, LogRecordQuerySet, ModelOffer
from projects import notifications
from projects.models import Project
from recommendations import followup, states, takeover, transitions
from recommendations.models import Recommendation
from recommendations.takeover import Day

MOST_MOVED = 0.10  # of the traffic between use cases, beyond what chance alone moves
LEAST_CALLS = 200  # since the recommendation, before the mix is compared
PRICE_CHANGED, PROMPT_CHANGED, MIX_MOVED = "price_changed", "prompt_version_changed", "mix_moved"
MODEL_RETIRED, DAYS_OVER, JUDGE_UNFIT = "model_retired", "days_over", "judge_unfit"


@dataclass(frozen=True)
class Ending:
    """A reason why a recommendation no longer stands."""

    code: str
    text: str


def expire_all(project: Project, *, now: datetime, beat: Callable[..., object]) -> int:
    """Mark what no longer stands as out of date; return how many were marked."""
    rows = project.recommendations.select_related("project", "evaluation", "candidate__offer")
    ended = 0
    for done, recommendation in enumerate(rows.prefetch_related("transitions").order_by("-pk").iterator(100), start=1):
        ended += expire(recommendation, now=now)
        beat(done=done)
    return ended


def expire(recommendation: Recommendation, *, now: datetime) -> bool:
    """Mark one as out of date where a reason is found; what was decided against, or is watched, stays as it is."""
    last = transitions.newest(recommendation)
    if (last.state if last else states.NEW) not in states.EXPIRING:
        return False
    found = endings(recommendation, now=now)
    if not found:
        return False
    why = " ".join(one.text for one in found)
    with transaction.atomic():
        transitions.step(recommendation, states.OUT_OF_DATE, by=None, now=now, code=found[0].code, why=why[:2000])
        notifications.send(
            recommendation.project,
            "recommendation_expired",
            {
                "sentence": f"Recommendation {recommendation.pk} no longer stands. {why}",
                "path": recommendation.get_absolute_url(),
                "number": recommendation.pk,
                "reason": found[0].code.replace("_", " "),
            },
            key=str(recommendation.pk),
            now=now,
        )
    return True


def endings(recommendation: Recommendation, *, now: datetime) -> list[Ending]:
    """Every reason there is, the most telling first."""
    checks = (_prices, _retired, _judges, _prompt_version, _mix, _days)
    return [found for check in checks if (found := check(recommendation, now)) is not None]


# ------------------------------------------------------------------------------------------------ the calendar
def _days(recommendation: Recommendation, now: datetime) -> Ending | None:
    if recommendation.expires_at > now:
        return None
    days = (recommendation.expires_at - recommendation.created_at).days
    return Ending(DAYS_OVER, f"It was made {days} days before {recommendation.expires_at:%Y-%m-%d}, when it ended.")


def _offers(recommendation: Recommendation) -> list[ModelOffer]:
    """The model in production and the one that was recommended or came nearest."""
    arms = recommendation.evaluation.candidates.select_related("offer").filter(position=0)
    offers = [arm.offer for arm in arms]
    return [*offers, recommendation.candidate.offer] if recommendation.candidate else offers


def _retired(recommendation: Recommendation, now: datetime) -> Ending | None:
    today = now.astimezone(UTC).date()
    gone = [offer for offer in _offers(recommendation) if offer.retires_on is not None and offer.retires_on <= today]
    if not gone:
        return None
    said = ", ".join(f"{offer.name} on {offer.retires_on}" for offer in gone)
    return Ending(MODEL_RETIRED, f"Retired: {said}.")


def _prices(recommendation: Recommendation, now: datetime) -> Ending | None:
    then = {one["model"]: one for one in recommendation.provenance.get("prices", [])}
    changed = []
    for offer in _offers(recommendation):
        price = (
            offer.prices.filter(valid_from__lte=now.astimezone(UTC).date()).order_by("-valid_from", "-revision").first()
        )
        known = then.get(offer.name)
        if price is None or known is None:
            continue
        was = (known["input_nanousd_per_million"], known["output_nanousd_per_million"])
        if was != (price.input_nanousd, price.output_nanousd):
            changed.append(f"{offer.name} since {price.valid_from}")
    return Ending(PRICE_CHANGED, f"The price has changed: {', '.join(changed)}.") if changed else None


# ------------------------------------------------------------------------------------------------ the judges
def doubts(recommendation: Recommendation) -> str:
    """Which of its judges people's labels call unfit since it was made; "": none."""
    evaluation = recommendation.evaluation
    if not recommendation.project.labels.filter(created_at__gt=evaluation.created_at).exists():
        return ""
    own, known = accuracy.wordings(evaluation), evaluation.policy.get("unfit") or ()
    found = accuracy.report(recommendation.project)
    cards = {one.wording: one.card for one in found.cards}
    said = [_kappa(own[place].model, cards[own[place]]) for place in found.unfit(own) if place not in known]
    return f"Unfit by the labels of people since: {', '.join(said)}." if said else ""


def _kappa(model: str, card: Card) -> str:
    return f"{model} (kappa {signed(card.kappa.value, 2)} {interval(card.kappa, 'signed:2')}, n = {card.n})"


def _judges(recommendation: Recommendation, _now: datetime) -> Ending | None:
    text = doubts(recommendation)
    return Ending(JUDGE_UNFIT, text) if text else None


# ------------------------------------------------------------------------------------------------ the traffic
def _window(recommendation: Recommendation) -> LogRecordQuerySet:
    """The calls that the evaluation drew from, of whatever time it had."""
    evaluation = recommendation.evaluation
    rows = LogRecord.objects.filter(project=recommendation.project, occurred_at__lt=evaluation.window_until)
    return (rows.filter(occurred_at__gte=evaluation.window_since) if evaluation.window_since else rows).newest()


def _of_version(recommendation: Recommendation, rows: LogRecordQuerySet) -> LogRecordQuerySet:
    """Of these calls those of the version of the prompt that the evaluation drew from; all where it drew from all."""
    version = recommendation.evaluation.prompt_version
    return rows.filter(prompt_version=version) if version else rows


def _since(recommendation: Recommendation, now: datetime) -> LogRecordQuerySet:
    return LogRecord.objects.filter(
        project=recommendation.project, occurred_at__gte=recommendation.created_at, occurred_at__lt=now
    ).newest()


def _models(recommendation: Recommendation) -> list[str]:
    return sorted(set().union(*(followup.names_of(offer) for offer in _offers(recommendation))))


def _prompt_version(recommendation: Recommendation, now: datetime) -> Ending | None:
    """A version of the prompt that the evaluation has not seen serves clearly more than a tenth of the calls."""
    models = _models(recommendation)
    of_window = _window(recommendation).filter(model__in=models).exclude(prompt_version="").order_by()
    seen = dict(of_window.values_list("prompt_version").annotate(n=Count("pk")))
    own = recommendation.evaluation.prompt_version
    known = {own} if own else set(seen)
    if not known:
        return None  # versions were not told then, so that one is told now is no change
    # of a version by itself the others served their part before
    others = 1 - seen.get(own, 0) / sum(seen.values()) if own and seen else 0.0
    rows = _since(recommendation, now).filter(model__in=models).order_by()
    counted = rows.values("prompt_version", day=TruncDate("occurred_at", tzinfo=UTC)).annotate(n=Count("pk"))
    days: dict[date, list[int]] = defaultdict(lambda: [0, 0])
    unseen: dict[str, int] = defaultdict(int)
    for row in counted:
        is_new = bool(row["prompt_version"]) and row["prompt_version"] not in known
        days[row["day"]][0] += row["n"]
        days[row["day"]][1] += row["n"] if is_new else 0
        if is_new:
            unseen[row["prompt_version"]] += row["n"]
    began = takeover.began([Day(on, *days[on]) for on in sorted(days)], before=others)
    if began is None:
        return None
    name = max(unseen, key=lambda version: (unseen[version], version))
    return Ending(PROMPT_CHANGED, f"Another version of the prompt serves since {began}: {name}.")


def _mix(recommendation: Recommendation, now: datetime) -> Ending | None:
    label = usecases.names(recommendation.project)
    models = _models(recommendation)
    before, after = (
        _by_use_case(_of_version(recommendation, rows).filter(model__in=models), label)
        for rows in (_window(recommendation), _since(recommendation, now))
    )
    coverage = recommendation.evidence.get("coverage") or {}
    calls, conversations = coverage.get("calls") or 1, coverage.get("conversations") or 1
    moved = moved_share(before, after, calls_per_conversation=max(1.0, calls / conversations))
    if moved is None or moved <= MOST_MOVED:
        return None
    return Ending(MIX_MOVED, f"{100 * moved:.0f} points of the traffic moved between use cases; {MOST_MOVED:.0%} may.")


def _by_use_case(rows: LogRecordQuerySet, label: Mapping[int, str]) -> dict[str, int]:
    counted: dict[str, int] = defaultdict(int)
    found: Collection[Any] = rows.order_by().values_list("assignment__use_case_id").annotate(n=Count("pk"))
    for use_case, n in found:
        if name := label.get(use_case or 0):
            counted[name] += n
    return dict(counted)


def moved_share(
    before: Mapping[str, int], after: Mapping[str, int], *, calls_per_conversation: float = 1.0
) -> float | None:
    """The share of traffic that moved between use cases, beyond what chance alone would move; None: too few calls.

    Half the sum of the absolute differences of shares, less its mean where nothing moved (each difference is then
    normal: sd · √(2/π)); calls of a conversation go together, so they count as conversations.
    """
    n, m = sum(before.values()), sum(after.values())
    if m < LEAST_CALLS or n < LEAST_CALLS:
        return None
    units = 1 / (1 / n + 1 / m) / calls_per_conversation
    moved = chance = 0.0
    for name in before.keys() | after.keys():
        was, now = before.get(name, 0) / n, after.get(name, 0) / m
        pooled = (before.get(name, 0) + after.get(name, 0)) / (n + m)
        moved += abs(now - was) / 2
        chance += math.sqrt(pooled * (1 - pooled) / units) * math.sqrt(2 / math.pi) / 2
    return max(0.0, moved - chance)
