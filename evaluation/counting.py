"""Answers and verdicts of an evaluation, counted by all that its pages tell apart; a page adds up what it shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum

from evaluation.models import Evaluation, Replay, Verdict


@dataclass(frozen=True)
class Answers:
    """Answers of one model that came about alike; sums are over all of them. Money in nano-dollars."""

    candidate: int
    position: int | None  # 0: the model in production; None: pruned
    provider: str
    status: str
    source: str
    reason: str
    again: bool  # a person wants them asked again
    repetition: int
    n: int
    calls: int
    paid: int
    refused: int
    cost: int
    priced: int  # whose cost is known

    @property
    def is_logged(self) -> bool:
        return self.source == Replay.Source.LOGGED

    @property
    def is_answered(self) -> bool:
        return self.status == Replay.Status.ANSWERED


@dataclass(frozen=True)
class Verdicts:
    """Verdicts of one judge on one model that came about alike. Money in nano-dollars."""

    candidate: int
    judge: int
    version: int
    source: str
    reason: str
    n: int
    scored: int
    calls: int
    paid: int


@dataclass(frozen=True)
class Counts:
    """All answers and verdicts of an evaluation."""

    answers: tuple[Answers, ...]
    verdicts: tuple[Verdicts, ...]

    @property
    def asked(self) -> list[Answers]:
        """Without the answers that the log holds."""
        return [one for one in self.answers if not one.is_logged]

    @property
    def paid(self) -> tuple[int, int]:
        """What answers and verdicts added to the bill."""
        return sum(one.paid for one in self.answers), sum(one.paid for one in self.verdicts)

    @property
    def prompts(self) -> int:
        """Prompts that the candidate tried longest has been asked."""
        tried: dict[int, int] = {}
        for one in self.answers:
            if one.position and one.repetition == 0:
                tried[one.candidate] = tried.get(one.candidate, 0) + one.n
        return max(tried.values(), default=0)


def read(evaluation: Evaluation) -> Counts:
    """Count in two queries, whatever a page shows of it."""
    return Counts(tuple(_answers(evaluation)), tuple(_verdicts(evaluation)))


def _answers(evaluation: Evaluation) -> Iterator[Answers]:
    rows = Replay.objects.filter(sample__evaluation=evaluation).values_list(
        "candidate", "candidate__position", "candidate__offer__provider", "status", "source", "reason", "again",
        "repetition",
    )  # fmt: skip
    counted = rows.annotate(
        n=Count("pk"), sent=Sum("calls"), paid=Sum("paid_nanousd"), refusals=Count("pk", Q(refused=True)),
        cost=Sum("cost_nanousd", default=0), priced=Count("cost_nanousd"),
    )  # fmt: skip
    for row in counted.order_by("candidate", "status", "source", "reason"):
        yield Answers(*map(_whole, row))


def _verdicts(evaluation: Evaluation) -> Iterator[Verdicts]:
    rows = Verdict.objects.filter(replay__sample__evaluation=evaluation).values_list(
        "replay__candidate", "judge", "version", "source", "reason"
    )
    counted = rows.annotate(n=Count("pk"), scored=Count("score"), sent=Sum("calls"), paid=Sum("paid_nanousd"))
    for row in counted.order_by("replay__candidate", "judge", "version", "source", "reason"):
        yield Verdicts(*map(_whole, row))


def _whole(value: Any) -> Any:
    """PostgreSQL sums whole numbers to a decimal."""
    return int(value) if isinstance(value, Decimal) else value
