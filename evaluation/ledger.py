"""What an evaluation did and cost, counted from its rows."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from evaluation.judges.base import WITHOUT_REPLY
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


@dataclass(frozen=True)
class Tokens:
    """Tokens of paid replies, read and written together, as the replies told them."""

    told: int
    replies: int
    silent: int  # replies whose row keeps none: they told none, or are from before tokens were kept

    @property
    def known(self) -> int | None:
        """Of all replies; None where one of them is not known."""
        return None if self.silent else self.told

    def why(self) -> str:
        """Why it is not known; empty where it is."""
        if not self.silent:
            return ""
        lack = f"{self.silent:,} of {self.replies:,} replies told no tokens, or are from before tokens were kept"
        return f"{lack}; the others took {self.told:,}." if self.told else f"{lack}."


def tokens(evaluation: Evaluation) -> tuple[Tokens, Tokens]:
    """Of calls to models, and of calls to judges; what came out of the log or the cache took none."""
    answered = _replays(evaluation).filter(source=Replay.Source.CALLED, latency_us__isnull=False)
    judged = _verdicts(evaluation).filter(source=Verdict.Source.CALLED)
    # an attempt before the last may have had a reply, so what such a row tells still counts
    lost = Q(reason__in=WITHOUT_REPLY, input_tokens__isnull=True, output_tokens__isnull=True)
    return _told(answered), _told(judged.exclude(lost))


def _told(rows: "QuerySet[Replay] | QuerySet[Verdict]") -> Tokens:
    unknown = Q(input_tokens__isnull=True) | Q(output_tokens__isnull=True)
    found = rows.aggregate(
        read=Sum("input_tokens", default=0, filter=~unknown), written=Sum("output_tokens", default=0, filter=~unknown),
        n=Count("pk"), silent=Count("pk", filter=unknown),
    )  # fmt: skip
    return Tokens(int(found["read"]) + int(found["written"]), found["n"], found["silent"])


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
