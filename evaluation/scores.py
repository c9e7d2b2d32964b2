"""What the panel says of each answer, out of stored verdicts. Without numpy: pages read it, too."""

from collections.abc import Mapping, Sequence

from django.db.models import Q

from evaluation import judging
from evaluation.judges import panel
from evaluation.models import Evaluation, Seat, Verdict

Scores = Mapping[int, Mapping[int, Sequence[float | None]]]  # by replay, then by seat


def seats_of(evaluation: Evaluation) -> list[Seat]:
    """The part of the panel that the decision reads, in the order it was seated."""
    return list(judging.deciding(evaluation.seats.select_related("judge", "version").order_by("pk")))


def chairs_of(seats: Sequence[Seat]) -> list[panel.Chair]:
    """The seats as the panel's arithmetic takes them."""
    return [panel.Chair(s.pk, s.judge.rubric, s.judge.model, exact=s.judge.exact, counts_as=s.counts_as) for s in seats]


def read(
    evaluation: Evaluation, seats: Sequence[Seat], *, only: Q | None = None
) -> dict[int, dict[int, list[float | None]]]:
    """Return settled scores by replay and seat; one that will be asked for again is not there yet.

    Args:
        only: narrows the verdicts.
    """
    by_judge = {(seat.judge_id, seat.version_id): seat.pk for seat in seats}
    rows = Verdict.objects.filter(judging.SETTLED, only or Q(), replay__sample__evaluation=evaluation)
    found: dict[int, dict[int, list[float | None]]] = {}
    # in the order of repetitions: a mean of floats depends on it
    for replay, judge, version, score in rows.order_by("replay_id", "judge_id", "repetition").values_list(
        "replay_id", "judge_id", "version_id", "score"
    ):
        seat = by_judge.get((judge, version))
        if seat is not None:
            found.setdefault(replay, {}).setdefault(seat, []).append(score)
    return found
