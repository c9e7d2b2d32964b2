"""Stored rows to the arrays of the decision, and the decision to rows. Brings numpy and scipy: not for web processes.

What a call becomes (decision.md 1): answered → as scored; a refusal → `answered` 0, and judged; failed by the model →
`answered` 0, quality 0, and no harm done; missing → nan everywhere.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import transaction

from agentopt.lib.errors import Conflict
from agentopt.lib.money import NANO
from evaluation import judging, ledger
from evaluation.judges import panel, rules
from evaluation.models import Candidate, Comparison, Evaluation, Look, Replay, Seat, Verdict
from evaluation.statistics import decision, use_cases
from evaluation.statistics import outcome as outcomes
from evaluation.statistics.decision import Outcome, Policy, Samples, Wanted
from evaluation.statistics.fixed_point import Array

STATES = {
    "recommended": Candidate.State.PASSED,
    "not_shown": Candidate.State.NOT_SHOWN,
    "dropped": Candidate.State.DROPPED,
    "dropped_at_ranking": Candidate.State.DROPPED_AT_RANKING,
    "not_reached": Candidate.State.NOT_REACHED,
}
LATENCY_LIMIT, COST_LIMIT = "latency_p95_s", "cost_per_call_usd"
_MICRO = 1_000_000


@dataclass(frozen=True)
class Table:
    """All that a run has measured so far: the samples, and how many leading rows each column has whole."""

    samples: Samples
    measured: npt.NDArray[np.int64]
    columns: tuple[Candidate, ...]
    use_cases: tuple[str, ...]


@dataclass(frozen=True)
class _Answer:
    """One cell's call, as far as the decision needs it."""

    pk: int
    status: str
    refused: bool | None
    cost_nanousd: int | None
    latency_us: int | None


_Scores = Mapping[int, Mapping[int, Sequence[float | None]]]  # by replay, then by seat
_UNASKED = panel.PanelScore(None, None, ())


# ------------------------------------------------------------------------------------------------ rows to arrays
def columns_of(evaluation: Evaluation) -> tuple[Candidate, ...]:
    """The baseline and the candidates, in the order of their columns."""
    kept = evaluation.candidates.filter(position__isnull=False).select_related("offer").order_by("position")
    return tuple(kept)


def samples_of(evaluation: Evaluation, rows: int | None = None) -> Samples:
    """Return the measurements of the first rows (absent: all), in sampling order; what is not known is nan.

    Metrics that nobody measured are absent: safety without a judge of it, cost where no pair has one, latency unless
    the baseline was called beside the candidates.
    """
    return read(evaluation, rows=rows).samples


def measure(evaluation: Evaluation) -> Outcome | Wanted:
    """Return the outcome, or what must be measured before there is one. It reads rows only."""
    table = read(evaluation)
    policy = Policy.from_json(evaluation.policy)
    total = min(evaluation.limit, len(table.use_cases))
    return decision.step(table.samples, policy, measured=table.measured, total=total)


def recompute(evaluation: Evaluation) -> Outcome:
    """Return the outcome again from stored rows: the same rows give the same bytes.

    Raises:
        Conflict: rows are lacking, since the evaluation has not come to its end.
    """
    said = measure(evaluation)
    if isinstance(said, Wanted):
        raise Conflict(f"Evaluation {evaluation.number} has not measured enough for an outcome: resume it.")
    return said


def read(evaluation: Evaluation, *, rows: int | None = None) -> Table:
    """Return all that stands in rows about an evaluation, or about its first prompts only."""
    columns = columns_of(evaluation)
    samples = list(
        evaluation.samples.order_by("position").values_list("pk", "record__trace_id", "use_case", named=True)[:rows]
    )
    seats = list(evaluation.seats.select_related("judge").order_by("pk"))
    chairs = [panel.Chair(seat.pk, seat.judge.rubric, seat.judge.model, exact=seat.judge.exact) for seat in seats]
    answers, again = _answers(evaluation, columns)
    grid = [[answers.get((sample.pk, column.pk)) for column in columns] for sample in samples]
    timed = [again.get(sample.pk) for sample in samples]
    scores = _scores(evaluation, seats)
    return Table(
        samples=_Arrays(evaluation, grid, timed, chairs, scores).samples(
            _numbered([sample.record__trace_id for sample in samples])
        ),
        measured=_measured(evaluation, grid, timed, seats=seats, scores=scores),
        columns=columns,
        use_cases=tuple(sample.use_case for sample in samples),
    )


def _numbered(traces: Sequence[int]) -> list[int]:
    """Conversations by their first place in the sampling order: keys of rows differ between copies of the same logs."""
    first: dict[int, int] = {}
    return [first.setdefault(trace, len(first)) for trace in traces]


def _answers(
    evaluation: Evaluation, columns: Sequence[Candidate]
) -> tuple[dict[tuple[int, int], _Answer], dict[int, _Answer]]:
    """Return the answers by (sample, candidate), and the baseline's second ones, which were called, by sample."""
    rows = Replay.objects.filter(sample__evaluation=evaluation, candidate__in=columns, again=False)
    first: dict[tuple[int, int], _Answer] = {}
    again: dict[int, _Answer] = {}
    wanted = ("sample_id", "candidate_id", "repetition", "pk", "status", "refused", "cost_nanousd", "latency_us")
    for row in rows.values_list(*wanted, named=True):
        answer = _Answer(row.pk, row.status, row.refused, row.cost_nanousd, row.latency_us)
        if row.repetition == 0:
            first[row.sample_id, row.candidate_id] = answer
        elif row.repetition == 1 and row.candidate_id == columns[0].pk:
            again[row.sample_id] = answer
    return first, again


def _scores(evaluation: Evaluation, seats: Sequence[Seat]) -> dict[int, dict[int, list[float | None]]]:
    """Return settled scores by replay and seat; one that will be asked for again is not there yet."""
    by_judge = {(seat.judge_id, seat.version_id): seat.pk for seat in seats}
    rows = Verdict.objects.filter(judging.SETTLED, replay__sample__evaluation=evaluation, replay__repetition=0)
    found: dict[int, dict[int, list[float | None]]] = {}
    # in the order of repetitions: a mean of floats depends on it
    for replay, judge, version, score in rows.order_by("replay_id", "judge_id", "repetition").values_list(
        "replay_id", "judge_id", "version_id", "score"
    ):
        seat = by_judge.get((judge, version))
        if seat is not None:
            found.setdefault(replay, {}).setdefault(seat, []).append(score)
    return found


def _measured(
    evaluation: Evaluation,
    grid: Sequence[Sequence[_Answer | None]],
    timed: Sequence[_Answer | None],
    *,
    seats: Sequence[Seat],
    scores: _Scores,
) -> npt.NDArray[np.int64]:
    """Count the leading rows of each column whose call was made and whose verdicts are all there."""

    def whole(row: int, column: int) -> bool:
        answer = grid[row][column]
        if answer is None or (column == 0 and evaluation.replay_baseline and timed[row] is None):
            return False
        own = scores.get(answer.pk, {})
        return answer.status != Replay.Status.ANSWERED or all(len(own.get(s.pk, ())) >= s.repeats for s in seats)

    width = len(grid[0]) if grid else len(columns_of(evaluation))
    counts = [next((r for r in range(len(grid)) if not whole(r, c)), len(grid)) for c in range(width)]
    return np.array(counts, dtype=np.int64)


@dataclass
class _Arrays:
    """Builds the arrays of `Samples`, each of shape (prompts, 1 + candidates)."""

    evaluation: Evaluation
    grid: Sequence[Sequence[_Answer | None]]
    timed: Sequence[_Answer | None]
    chairs: Sequence[panel.Chair]
    scores: _Scores

    def samples(self, units: Sequence[int]) -> Samples:
        models = len(panel.models(self.chairs))
        cells = [[self._cell(answer) for answer in row] for row in self.grid]
        quality = self._array([[cell.quality for cell in row] for row in cells])
        guards = {"quality": quality, "answered": self._array([[_answered(a) for a in row] for row in self.grid])}
        if panel.measures_safety(self.chairs):
            guards["safety"] = self._array([[cell.safety for cell in row] for row in cells])
        cost, latency = self._cost(), self._latency()
        by_judge = [[_padded(cell.by_model, models) for cell in row] for row in cells]
        return Samples(
            guards=guards,
            unit=np.array(units, dtype=np.int64),
            cost_usd=cost if _paired(cost) else None,
            latency_s=latency if _paired(latency) else None,
            scores_by_judge=np.array(by_judge, float).reshape(*quality.shape, models) if models else None,
            levels=self._levels(guards, cost, latency),
            baseline=self._means(guards, cost),
        )

    def _array(self, values: Sequence[Sequence[float | None]]) -> Array:
        width = len(columns_of(self.evaluation)) if not values else len(values[0])
        return np.array([[math.nan if x is None else x for x in row] for row in values], float).reshape(-1, width)

    def _cell(self, answer: _Answer | None) -> panel.PanelScore:
        if answer is None or answer.status == Replay.Status.MISSING:
            return _UNASKED
        if answer.status == Replay.Status.FAILED:
            return panel.PanelScore(0.0, 1.0, (0.0,) * len(panel.models(self.chairs)))
        return panel.score(self.chairs, self.scores.get(answer.pk, {}))

    def _cost(self) -> Array:
        return self._array([[None if a is None else _over(a.cost_nanousd, NANO) for a in row] for row in self.grid])

    def _latency(self) -> Array:
        """Seconds of calls that were made for this comparison; a logged latency had other conditions."""
        rows = [[again, *row[1:]] for again, row in zip(self.timed, self.grid, strict=True)]
        return self._array([[_seconds(answer) for answer in row] for row in rows])

    def _levels(self, guards: Mapping[str, Array], cost: Array, latency: Array) -> dict[str, Array] | None:
        """Each hard limit of the goal as a mean to exceed (decision.md 1)."""
        limits = self.evaluation.goal.value().limits
        levels = {name: guards[name] for name in limits if name in guards}
        if LATENCY_LIMIT in limits and np.isfinite(latency).any():
            within = (latency <= limits[LATENCY_LIMIT]).astype(float)
            levels[LATENCY_LIMIT] = np.where(np.isfinite(latency), within, np.nan)
        if COST_LIMIT in limits and np.isfinite(cost).any():
            levels[COST_LIMIT] = np.clip(1 - cost / (2 * max(limits[COST_LIMIT], 1e-12)), 0, 1)
        return levels or None

    def _means(self, guards: Mapping[str, Array], cost: Array) -> dict[str, float] | None:
        """Means of the baseline over all replayable prompts, for the metrics that are measured here."""
        known = self.evaluation.population.get("baseline") or {}
        there = {*guards, *(["cost"] if _paired(cost) else [])}
        return {name: float(mean) for name, mean in sorted(known.items()) if mean is not None and name in there} or None


def _answered(answer: _Answer | None) -> float | None:
    if answer is None or answer.status == Replay.Status.MISSING:
        return None
    return rules.answered(failed=answer.status == Replay.Status.FAILED, was_refused=answer.refused)


def _seconds(answer: _Answer | None) -> float | None:
    return None if answer is None or answer.status != Replay.Status.ANSWERED else _over(answer.latency_us, _MICRO)


def _over(amount: int | None, unit: int) -> float | None:
    return None if amount is None else amount / unit


def _padded(by_model: Sequence[float | None], models: int) -> list[float]:
    return [math.nan if x is None else x for x in by_model] or [math.nan] * models


def _paired(amounts: Array) -> bool:
    """Tell whether any prompt has the amount in the baseline and in a candidate."""
    return bool((np.isfinite(amounts[:, :1]) & np.isfinite(amounts[:, 1:])).any())


# ------------------------------------------------------------------------------------------------ outcome to rows
def store(evaluation: Evaluation, outcome: Outcome) -> None:
    """Write looks, comparisons and what became of each candidate, in one transaction; a repeat writes the same."""
    table = read(evaluation)
    columns = table.columns
    found = [finding for finding in outcome.findings if finding.look is not None]
    with transaction.atomic():
        evaluation.looks.all().delete()
        evaluation.comparisons.all().delete()
        Look.objects.bulk_create(_look(evaluation, columns[look.column], look) for look in outcome.looks)
        Comparison.objects.bulk_create(
            row for finding in found for row in _comparisons(evaluation, table, finding, outcome=outcome)
        )
        for finding in outcome.findings:
            Candidate.objects.filter(pk=columns[finding.column].pk).update(state=STATES[finding.state])


def note(evaluation: Evaluation, wanted: Wanted) -> None:
    """Write what was seen so far, for those who watch; the end writes it again."""
    columns = columns_of(evaluation)
    rows = [_look(evaluation, columns[look.column], look) for look in wanted.looks]
    with transaction.atomic():
        Look.objects.bulk_create(rows, ignore_conflicts=True)
        for finding in wanted.findings:
            Candidate.objects.filter(pk=columns[finding.column].pk).update(state=STATES[finding.state])


def _look(evaluation: Evaluation, candidate: Candidate, look: outcomes.Look) -> Look:
    return Look(
        evaluation=evaluation,
        candidate=candidate,
        ranking=look.ranking,
        prompts=look.prompts,
        chance=look.chance,
        p=look.p,
        confidence=look.confidence,
        conditions=[finite(dataclasses.asdict(condition)) for condition in look.conditions],
    )


def _comparisons(
    evaluation: Evaluation, table: Table, finding: outcomes.Finding, *, outcome: Outcome
) -> Iterator[Comparison]:
    look = finding.look
    if look is None:
        return
    candidate = table.columns[finding.column]
    for metric, seen in look.measures.items():
        known = bool(seen.prompts)
        yield Comparison(
            evaluation=evaluation,
            candidate=candidate,
            metric=metric[:30],
            n_prompts=seen.prompts,
            n_units=look.units,
            n_unscored=seen.unscored,
            baseline=seen.baseline,
            value=seen.value,
            estimate=seen.estimate if known else None,
            low=seen.low if known else None,
            high=seen.high if known else None,
        )
    yield from _by_use_case(evaluation, table, finding, start=0 if look.ranking else _ranked(outcome))


def _ranked(outcome: Outcome) -> int:
    """Prompts of the ranking stage, which the test does not use."""
    return max((look.prompts for look in outcome.looks if look.ranking), default=0)


def _by_use_case(
    evaluation: Evaluation, table: Table, finding: outcomes.Finding, *, start: int
) -> Iterator[Comparison]:
    """Quality by use case at the last look: findings shrunk towards the overall mean, not verdicts."""
    look = finding.look
    rows = slice(start, start + (look.prompts if look else 0))
    quality = table.samples.guards["quality"][rows]
    labels = np.array(table.use_cases[rows], dtype=str)
    margin = dict(Policy.from_json(evaluation.policy).margins).get("quality", 1.0)
    diff = quality[:, finding.column] - quality[:, 0]
    for found in use_cases.findings(diff, labels, margin=margin):
        own = quality[(labels == found.use_case) & np.isfinite(diff)]
        yield Comparison(
            evaluation=evaluation,
            candidate=table.columns[finding.column],
            use_case=found.use_case[:80],
            metric="quality",
            n_prompts=found.prompts,
            n_units=len(set(table.samples.unit[rows][labels == found.use_case].tolist())),
            n_unscored=int((labels == found.use_case).sum()) - found.prompts,
            baseline=float(own[:, 0].mean()),
            value=float(own[:, finding.column].mean()),
            estimate=found.shrunk,
            low=found.shrunk - 1.96 * found.error,
            high=found.shrunk + 1.96 * found.error,
        )


# ------------------------------------------------------------------------------------------------ outcome to JSON
def outcome_json(evaluation: Evaluation, outcome: Outcome) -> dict[str, Any]:
    """Evaluation.outcome: what was said, of whom, on how much, and what it took. Candidates are known by their pk."""
    columns = columns_of(evaluation)
    policy = Policy.from_json(evaluation.policy)
    pk = {column: candidate.pk for column, candidate in enumerate(columns)}
    look = outcome.findings[outcome.leader - 1].look if outcome.leader else None
    measures = look.measures if look else {}
    took = ledger.counts(evaluation)
    return {
        "code": outcome.code,
        "reason": outcome.reason,
        "recommended": None if outcome.recommended is None else pk[outcome.recommended],
        "leader": None if outcome.leader is None else pk[outcome.leader],
        "confidence": outcome.confidence if look else None,
        "prompts": outcome.prompts,
        "answers": outcome.candidate_answers,
        "judged_answers": outcome.judged_answers,
        "candidates": [_finding_json(finding, pk[finding.column]) for finding in outcome.findings],
        "not_measured": sorted(set(evaluation.goal.value().margins) - {name for name, _ in policy.margins}),
        "unknown": sorted(
            name for name, weight, _ in policy.weights
            if weight and look and (name not in measures or not measures[name].prompts)
        ),
        **took,
        **_saved(evaluation, outcome, took["spent_nanousd"], policy=policy),
    }  # fmt: skip


def _finding_json(finding: outcomes.Finding, pk: int) -> dict[str, Any]:
    return {"candidate": pk, "state": finding.state, "code": finding.code, "prompts": finding.prompts}


def _saved(evaluation: Evaluation, outcome: Outcome, spent_nanousd: int, *, policy: Policy) -> dict[str, Any]:
    """What a plan without early stopping would have taken: all candidates on all prompts, at this run's mean price."""
    total = min(evaluation.limit, evaluation.samples.count())
    runs = bool(outcome.findings) and total >= policy.least_prompts
    planned = len(outcome.findings) * total if runs else 0
    judged = planned + total if runs else 0
    share = judged / outcome.judged_answers - 1 if outcome.judged_answers else 0.0
    saved = round(spent_nanousd * share) if spent_nanousd else None
    return {"planned_answers": planned, "saved_answers": planned - outcome.candidate_answers, "saved_nanousd": saved}


def finite(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as JSON holds them: a number that is none is not known."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in fields.items()
    }
