"""How the panel of an evaluation bears itself, out of stored verdicts: for pages and API, without numpy."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models.functions import Length

from evaluation import judging, scores
from evaluation.judges import leanings, panel
from evaluation.judges.leanings import Bearing, Said, Together
from evaluation.models import Evaluation, Judge, JudgeVersion, Replay, Verdict

UNSCORED = 0.10  # share above which nothing is decided, where the policy says no other
DISAGREEMENT = 0.3


@dataclass(frozen=True)
class Row:
    """One seat of the panel with what its verdicts show."""

    rubric: str
    model: str  # empty: a rule
    form: str
    counts_as: str
    repeats: int
    version: str
    is_exact: bool
    bearing: Bearing
    settled: int  # cases that a rule settled in its place


@dataclass(frozen=True)
class Report:
    """The panel: seat by seat, and together. `spreads`: by the name of the model that answered."""

    rows: list[Row]
    models: list[str]  # judge models of quality
    together: Together
    spreads: list[tuple[str, float | None]]
    unscored: float | None  # share of all verdicts that count
    most_unscored: float
    most_disagreement: float
    same_family: list[Mapping[str, object]]

    @property
    def is_split(self) -> bool:
        """Whether the models disagree so far that nothing is decided."""
        return any(spread is not None and spread > self.most_disagreement for _, spread in self.spreads)

    @property
    def is_lacking(self) -> bool:
        """Whether so much is unscored that nothing is decided."""
        return self.unscored is not None and self.unscored > self.most_unscored


def read(evaluation: Evaluation) -> Report:
    """Everything that the verdicts so far tell of those who gave them."""
    seats = list(evaluation.seats.select_related("judge", "version").order_by("judge__model", "judge__rubric"))
    said, settled = _said(evaluation)
    rows = [
        Row(
            seat.judge.rubric, seat.judge.model, seat.version.form, seat.counts_as, seat.repeats,
            seat.version.text_hash[:12], seat.judge.exact,
            leanings.bearing(said.get((seat.judge_id, seat.version_id), [])),
            settled.get((seat.judge_id, seat.version_id), 0),
        )
        for seat in seats
    ]  # fmt: skip
    policy = evaluation.policy
    models, together = _together(evaluation)
    names = dict(evaluation.candidates.filter(position__isnull=False).values_list("position", "offer__name"))
    counting = [row for row in rows if _counts(row)]
    n = sum(row.bearing.scored + row.bearing.unscored for row in counting)
    return Report(
        rows=rows,
        models=list(models),
        together=together,
        spreads=[(names.get(arm, ""), spread) for arm, spread in together.spreads],
        unscored=sum(row.bearing.unscored for row in counting) / n if n else None,
        most_unscored=policy.get("unscored", UNSCORED),
        most_disagreement=policy.get("disagreement", DISAGREEMENT),
        same_family=list(evaluation.conditions.get("same_family") or []),
    )


def _counts(row: Row) -> bool:
    """Whether its verdicts reach the decision."""
    return row.form != JudgeVersion.Form.PAIR and row.counts_as in (Judge.CountsAs.QUALITY, Judge.CountsAs.GUARD)


def _said(
    evaluation: Evaluation,
) -> tuple[dict[tuple[int, int], list[Said]], dict[tuple[int, int], int]]:
    """Verdicts by judge and version, and how many of them a rule gave in a model's place."""
    rows = Verdict.objects.filter(judging.SETTLED, replay__sample__evaluation=evaluation, replay__repetition=0)
    found: dict[tuple[int, int], list[Said]] = {}
    settled: dict[tuple[int, int], int] = {}
    wanted = rows.annotate(length=Length("replay__answer")).values_list(
        "judge_id", "version_id", "replay__sample__position", "replay__candidate__position", "score", "length",
        "reason", "repetition", "stood_first", "source", "judge__model",
    )  # fmt: skip
    for judge, version, prompt, arm, score, length, reason, repetition, first, source, model in wanted.order_by("pk"):
        key = (judge, version)
        turn = repetition if first is None else repetition // 2
        found.setdefault(key, []).append(Said(prompt, arm or 0, score, length, reason, turn, first))
        settled[key] = settled.get(key, 0) + int(bool(model) and source == Verdict.Source.RULE)
    return found, settled


def _together(evaluation: Evaluation) -> tuple[tuple[str, ...], Together]:
    """Quality by judge model of every answer, compared."""
    seats = scores.seats_of(evaluation)
    chairs = scores.chairs_of(seats)
    by_replay = scores.read(evaluation, seats)
    places = Replay.objects.filter(sample__evaluation=evaluation, repetition=0, status=Replay.Status.ANSWERED)
    by_model = {
        (prompt, arm): panel.score(chairs, by_replay[pk]).by_model
        for pk, prompt, arm in places.values_list("pk", "sample__position", "candidate__position")
        if pk in by_replay and arm is not None
    }
    return panel.models(chairs), leanings.together(by_model)
