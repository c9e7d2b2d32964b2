"""What an evaluation did and cost, counted from its rows."""

from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from evaluation.models import Candidate, Charge, Evaluation, Replay, Verdict


def spent_nanousd(evaluation: Evaluation) -> int:
    """What this evaluation added to the bill so far; what has no known price counts nothing."""
    replays = _replays(evaluation).aggregate(paid=Sum("paid_nanousd"))["paid"] or 0
    verdicts = _verdicts(evaluation).aggregate(paid=Sum("paid_nanousd"))["paid"] or 0
    ranked = evaluation.charges.filter(kind=Charge.Kind.RANKING).aggregate(paid=Sum("nanousd"))["paid"] or 0
    return int(replays) + int(verdicts) + int(ranked)


def is_simulated(evaluation: Evaluation) -> bool:
    """Tell whether the logs, or any reply, came from a sandbox."""
    simulated = Q(simulated=True)
    return (
        evaluation.simulated
        or _replays(evaluation).filter(simulated).exists()
        or _verdicts(evaluation).filter(simulated).exists()
    )


def counts(evaluation: Evaluation) -> dict[str, Any]:
    """Requests sent, answers by what became of them, verdicts, and money.

    `model_calls` and `judge_calls` are HTTP requests, retries included: 0 for what came out of the log or the cache.
    `unpriced_calls` are paid ones whose price is not known, so that `spent_nanousd` is too low by them.
    """
    replays = _replays(evaluation).aggregate(
        model_calls=Sum("calls", default=0),
        cached_answers=Count("pk", filter=Q(source=Replay.Source.CACHED)),
        missing=Count("pk", filter=Q(status=Replay.Status.MISSING)),
        failed=Count("pk", filter=Q(status=Replay.Status.FAILED) & ~Q(candidate__position=0)),
        refused=Count("pk", filter=Q(refused=True) & ~Q(candidate__position=0)),
        unpriced=Count(
            "pk", filter=Q(source=Replay.Source.CALLED, status=Replay.Status.ANSWERED, cost_nanousd__isnull=True)
        ),
    )
    verdicts = _verdicts(evaluation).aggregate(
        judge_calls=Sum("calls", default=0),
        verdicts=Count("pk"),
        cached_verdicts=Count("pk", filter=Q(source=Verdict.Source.CACHED)),
        unscored=Count("pk", filter=Q(score__isnull=True)),
        unpriced=Count("pk", filter=Q(source=Verdict.Source.CALLED, calls__gt=0, cost_nanousd__isnull=True)),
    )
    unpriced = replays.pop("unpriced") + verdicts.pop("unpriced")
    return {**replays, **verdicts, "unpriced_calls": unpriced, "spent_nanousd": spent_nanousd(evaluation)}


def arm(evaluation: Evaluation, candidate: Candidate) -> dict[str, Any]:
    """A model with what its calls and their verdicts cost in all; None: of one of them it is not known."""
    whole = {"n": Count("pk"), "priced": Count("cost_nanousd"), "cost": Sum("cost_nanousd", default=0)}
    answers = _replays(evaluation).filter(candidate=candidate).aggregate(**whole)
    verdicts = _verdicts(evaluation).filter(replay__candidate=candidate).aggregate(**whole)
    return {
        "name": candidate.offer.name,
        "provider": candidate.offer.provider,
        "answers": answers["n"],
        "cost_nanousd": answers["cost"] if answers["priced"] == answers["n"] else None,
        "verdicts_nanousd": verdicts["cost"] if verdicts["priced"] == verdicts["n"] else None,
    }


def _replays(evaluation: Evaluation) -> "QuerySet[Replay]":
    return Replay.objects.filter(sample__evaluation=evaluation)


def _verdicts(evaluation: Evaluation) -> "QuerySet[Verdict]":
    return Verdict.objects.filter(replay__sample__evaluation=evaluation)
