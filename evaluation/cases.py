"""Cases of an evaluation: one prompt each, with what the model in production and the candidates answered to it.

A list of them shows where a candidate got worse; one of them shows the answers beside each other. Read without numpy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar

from django.db.models import Q

from agentopt.lib.errors import NotFound
from evaluation import scores, tool_calls
from evaluation.judges import panel
from evaluation.models import Candidate, Evaluation, Replay, Seat, Verdict
from evaluation.repeating import Baseline, Repeating
from evaluation.tool_calls import Compared

SAME = 0.005  # differences of quality below it are called the same
PAGE = 50


@dataclass(frozen=True)
class Cell:
    """What one model made of a case; `status` empty: it was not asked. None: not known."""

    status: str
    reason: str
    refused: bool | None
    score: float | None  # quality, the mean over repetitions
    change: float | None  # against the model in production
    spread: float | None  # between judge models, the largest
    tools: Compared | None
    is_other: bool  # answered, and otherwise than the model in production

    @property
    def is_error(self) -> bool:
        """Whether the model failed, or could not be asked."""
        return self.status in (Replay.Status.FAILED, Replay.Status.MISSING)


@dataclass(frozen=True)
class Case:
    """A prompt with a cell for each model, the model in production first."""

    position: int
    record: int
    use_case: str
    preview: str
    cells: tuple[Cell, ...]


# ------------------------------------------------------------------------------------------------ which are shown
def _worse(case: Case, at: int, _: float) -> bool:
    change = case.cells[at].change
    return change is not None and change <= -SAME


def _better(case: Case, at: int, _: float) -> bool:
    change = case.cells[at].change
    return change is not None and change >= SAME


def _same(case: Case, at: int, _: float) -> bool:
    change = case.cells[at].change
    return change is not None and abs(change) < SAME


def _unsure(case: Case, at: int, allowed: float) -> bool:
    return any((case.cells[i].spread or 0.0) > allowed for i in (0, at))


def _unanswered(case: Case, at: int, _: float) -> bool:
    return any(case.cells[i].status == Replay.Status.FAILED or case.cells[i].refused for i in (0, at))


SHOWN: Mapping[str, tuple[str, Callable[[Case, int, float], bool]]] = {
    "all": ("All", lambda case, at, _: bool(case.cells[at].status)),
    "worse": ("Worse", _worse),
    "same": ("Same", _same),
    "better": ("Better", _better),
    "different": ("Different answer", lambda case, at, _: case.cells[at].is_other),
    "errors": ("Errors", lambda case, at, _: case.cells[at].is_error),
    "unanswered": ("Not answered", _unanswered),
    "unsure": ("Judges unsure", _unsure),
}
SORTS = ("drop", "case")


@dataclass(frozen=True)
class Cases:
    """All cases that were reached, and the models they were put to."""

    evaluation: Evaluation
    arms: tuple[Candidate, ...]  # the model in production first
    rows: tuple[Case, ...]  # in sampling order
    reached: int  # of all use cases
    seats: tuple[Seat, ...] = ()
    judged: scores.Scores = field(default_factory=dict)  # what they said of all answers

    @property
    def allowed(self) -> float:
        """Spread between judge models beyond which they are unsure."""
        return float(self.evaluation.policy.get("disagreement") or 0.3)

    def within(self, use_case: str) -> "Cases":
        """The cases of one use case; "": all of them."""
        rows = tuple(one for one in self.rows if one.use_case == use_case)
        return replace(self, rows=rows) if use_case else self

    def column(self, position: int | None) -> int:
        """Place of a candidate among the arms: the one asked for, else the recommended, the leader, the first."""
        places = {arm.position: place for place, arm in enumerate(self.arms) if arm.position}
        if position in places:
            return places[position]
        outcome = self.evaluation.outcome or {}
        told = {arm.pk: place for place, arm in enumerate(self.arms) if arm.position}
        for name in ("recommended", "leader"):
            if outcome.get(name) in told:
                return told[outcome[name]]
        trying = [place for place, arm in enumerate(self.arms) if arm.state == Candidate.State.TRYING]
        return next(iter([*trying, *told.values()]), 0)

    def counts(self, at: int) -> dict[str, int]:
        """Cases of each kind for one candidate."""
        return {kind: sum(holds(one, at, self.allowed) for one in self.rows) for kind, (_, holds) in SHOWN.items()}

    def shown(self, at: int, *, kind: str, sort: str) -> list[Case]:
        """Cases of a kind: the largest drop first, what is not scored last; or in sampling order."""
        holds = SHOWN[kind if kind in SHOWN else "all"][1]
        found = [one for one in self.rows if holds(one, at, self.allowed)]
        if sort == "case":
            return found
        return sorted(found, key=lambda one: (one.cells[at].change is None, one.cells[at].change or 0.0, one.position))


# ------------------------------------------------------------------------------------------------ reading
class Given(NamedTuple):
    """What a list needs of an answer, out of Replay; what was said stays in the database.

    A tuple: of 30,000 prompts there may be 100,000, and to make rows of the model takes longer than all the rest.
    """

    pk: int
    sample_id: int
    candidate_id: int
    source: str
    status: str
    reason: str
    refused: bool | None
    answer_hash: str
    tool_calls: Any


_Row = TypeVar("_Row", Replay, Given)
_Answers = Mapping[tuple[int, int], Sequence[_Row]]  # by sample and candidate, in the order of repetitions


def read(evaluation: Evaluation) -> Cases:
    """Compare all cases that a candidate was asked, in five queries whatever their number."""
    arms = tuple(evaluation.candidates.filter(position__isnull=False).select_related("offer").order_by("position"))
    rows = Replay.objects.filter(sample__evaluation=evaluation, candidate__position__gte=0).order_by("repetition")
    answers: dict[tuple[int, int], list[Given]] = {}
    for row in map(Given._make, rows.values_list(*Given._fields)):
        answers.setdefault((row.sample_id, row.candidate_id), []).append(row)
    asked = {arm.pk for arm in arms if arm.position}
    reached = {sample for sample, candidate in answers if candidate in asked}
    seats = scores.seats_of(evaluation)
    judged = scores.read(evaluation, seats)
    table = _Table(arms, scores.chairs_of(seats), answers, judged, evaluation)
    samples = evaluation.samples.order_by("position")
    named = samples.values_list("pk", "position", "record", "use_case", "record__body__preview")
    found = tuple(
        Case(position, record, use_case, preview or "", table.cells(pk))
        for pk, position, record, use_case, preview in named
        if pk in reached
    )
    return Cases(evaluation, arms, found, len(found), tuple(seats), judged)


@dataclass(frozen=True)
class _Table(Generic[_Row]):
    arms: Sequence[Candidate]
    chairs: Sequence[panel.Chair]
    answers: _Answers[_Row]
    judged: scores.Scores
    evaluation: Evaluation

    def cells(self, sample: int) -> tuple[Cell, ...]:
        base: Cell | None = None
        first: _Row | None = None
        repeating = self.evaluation.repeating()
        found = []
        for arm in self.arms:
            rows = counting(self.answers.get((sample, arm.pk), ()), arm, repeating)
            cell = self._cell(rows, base=base, logged=first)
            if not arm.position:
                base, first = cell, rows[0] if rows else None
            found.append(cell)
        return tuple(found)

    def _cell(self, rows: Sequence[_Row], *, base: Cell | None, logged: _Row | None) -> Cell:
        if not rows:
            return Cell("", "", None, None, None, None, None, is_other=False)
        told = [self._scored(row) for row in rows]
        score = panel.mean([one.quality for one in told])
        spreads = [spread for one in told if (spread := panel.spread(one.by_model)) is not None]
        was = base.score if base else None
        given = rows[0]
        is_answered = given.status == Replay.Status.ANSWERED
        tools = tool_calls.compare(logged.tool_calls, given.tool_calls) if logged and is_answered else None
        return Cell(
            status=given.status,
            reason=given.reason,
            refused=given.refused,
            score=score,
            change=None if base is None or score is None or was is None else score - was,
            spread=max(spreads, default=None),
            tools=tools,
            is_other=bool(
                logged and is_answered and (logged.answer_hash != given.answer_hash or (tools and not tools.agrees))
            ),
        )

    def _scored(self, row: _Row) -> panel.PanelScore:
        failed, missing = row.status == Replay.Status.FAILED, row.status == Replay.Status.MISSING
        return panel.of_call(self.chairs, self.judged.get(row.pk, {}), failed=failed, missing=missing)


def counting(rows: Sequence[_Row], arm: Candidate, repeating: Repeating) -> list[_Row]:
    """The answers that make a cell: all of a candidate; of the model in production the logged one, or its calls."""
    if arm.position:
        return list(rows)
    is_called = repeating.baseline == Baseline.REPLAYED
    return [row for row in rows if (row.source != Replay.Source.LOGGED) == is_called]


# ------------------------------------------------------------------------------------------------ one case
@dataclass(frozen=True)
class Said:
    """What a judge said of an answer; score None: unscored, for a reason."""

    rubric: str
    model: str
    version: str
    score: float | None
    reason: str
    explanation: str


@dataclass(frozen=True)
class Side:
    """One model's answers to a case: the one that is shown, and others to the same prompt."""

    arm: Candidate
    shown: Replay | None  # None: it was not asked
    others: tuple[Replay, ...]
    cell: Cell
    said: tuple[Said, ...]  # of the answer shown


@dataclass(frozen=True)
class OneCase:
    """One case with all its models."""

    sample: Any
    sides: tuple[Side, ...]  # the model in production first


def one(evaluation: Evaluation, position: int, *, among: Cases | None = None) -> OneCase:
    """A case by its place in the sampling order.

    Args:
        among: all cases, where the caller has read them.

    Raises:
        NotFound: the evaluation has no such case.
    """
    sample = evaluation.samples.filter(position=position).select_related("record__trace", "record__body").first()
    if sample is None:
        raise NotFound("There is no such case in this evaluation.")
    if among is None:
        candidates = evaluation.candidates.filter(position__isnull=False).select_related("offer").order_by("position")
        arms, seats = tuple(candidates), scores.seats_of(evaluation)
        judged: scores.Scores = scores.read(evaluation, seats, only=Q(replay__sample=sample))
    else:
        arms, seats, judged = among.arms, list(among.seats), among.judged
    rows: dict[int, list[Replay]] = {}
    for row in sample.replays.order_by("repetition"):
        rows.setdefault(row.candidate_id, []).append(row)
    verdicts: dict[int, list[Said]] = {}
    judged_rows = Verdict.objects.filter(replay__sample=sample).select_related("judge", "version")
    for verdict in judged_rows.order_by("judge__rubric", "judge__model", "repetition"):
        verdicts.setdefault(verdict.replay_id, []).append(
            Said(
                rubric=verdict.judge.rubric,
                model=verdict.judge.model,
                version=verdict.version.text_hash[:12],
                score=verdict.score,
                reason=verdict.reason,
                explanation=verdict.explanation,
            )
        )
    table = _Table(
        arms, scores.chairs_of(seats), {(sample.pk, pk): own for pk, own in rows.items()}, judged, evaluation
    )
    cells = table.cells(sample.pk)
    sides = []
    for arm, cell in zip(table.arms, cells, strict=True):
        own = rows.get(arm.pk, [])
        first = next(iter(counting(own, arm, evaluation.repeating())), None)
        said = tuple(verdicts.get(first.pk, ())) if first else ()
        sides.append(Side(arm, first, tuple(row for row in own if row is not first), cell, said))
    return OneCase(sample, tuple(sides))
