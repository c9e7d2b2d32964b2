"""Stored rows to what was measured, and the decision to rows. Brings numpy and scipy: not for web processes."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from django.db import transaction

from agentopt.lib.errors import Conflict
from evaluation import accuracy, breakdown, findings, labels, ledger, measurements, scores, settling
from evaluation.judges import panel
from evaluation.measurements import Cell, Line, Measurements, Table
from evaluation.models import Candidate, Comparison, Evaluation, Look, Replay, Seat
from evaluation.repeating import MOST
from evaluation.statistics import decision
from evaluation.statistics import outcome as outcomes
from evaluation.statistics.decision import Outcome, Policy, Wanted

STATES = {
    "recommended": Candidate.State.PASSED,
    "not_shown": Candidate.State.NOT_SHOWN,
    "dropped": Candidate.State.DROPPED,
    "dropped_at_ranking": Candidate.State.DROPPED_AT_RANKING,
    "not_reached": Candidate.State.NOT_REACHED,
}


# ------------------------------------------------------------------------------------------------ rows to values
def columns_of(evaluation: Evaluation) -> tuple[Candidate, ...]:
    """The baseline and the candidates, in the order of their columns."""
    kept = evaluation.candidates.filter(position__isnull=False).select_related("offer").order_by("position")
    return tuple(kept)


def total_of(evaluation: Evaluation) -> int:
    """Prompts that may be used per candidate at most."""
    return min(evaluation.limit, evaluation.samples.count())


def measure(evaluation: Evaluation) -> Outcome | Wanted:
    """Return the outcome, or what must be measured before there is one. It reads rows only."""
    table, policy = read(evaluation), Policy.from_json(evaluation.policy)
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
    """Return all that stands in rows about an evaluation as arrays, or about its first prompts only."""
    return measurements.table(measured(evaluation, rows=rows))


def measured(evaluation: Evaluation, *, rows: int | None = None) -> Measurements:
    """Return all that stands in rows about an evaluation, or about its first prompts only."""
    columns = columns_of(evaluation)
    samples = list(
        evaluation.samples.order_by("position").values_list(
            "pk", "record_id", "record__trace_id", "use_case", named=True
        )[:rows]
    )
    seats = scores.seats_of(evaluation)
    cells = _cells(evaluation, columns, seats)
    repeating = evaluation.repeating()
    units = _numbered([sample.record__trace_id for sample in samples])
    return Measurements(
        columns=len(columns),
        chairs=tuple(
            panel.Chair(place, seat.judge.rubric, seat.judge.model, exact=seat.judge.exact, counts_as=seat.counts_as)
            for place, seat in enumerate(seats)
        ),
        repeats=tuple(seat.repeats for seat in seats),
        limits=evaluation.goal.value().limits,
        baseline=evaluation.population.get("baseline") or {},
        repeating=repeating,
        lines=tuple(
            Line(
                record=sample.record_id,
                unit=unit,
                use_case=sample.use_case,
                cells=tuple(cells.get((sample.pk, column.pk, 0)) for column in columns),
                again=cells.get((sample.pk, columns[0].pk, 1)) if columns else None,
                more=_more(cells, sample.pk, columns),
            )
            for sample, unit in zip(samples, units, strict=True)
        ),
    )


def _numbered(traces: Sequence[int]) -> list[int]:
    """Conversations by their first place in the sampling order: keys of rows differ between copies of the same logs."""
    first: dict[int, int] = {}
    return [first.setdefault(trace, len(first)) for trace in traces]


_Cells = Mapping[tuple[int, int, int], Cell]  # by sample, candidate and repetition


def _cells(evaluation: Evaluation, columns: Sequence[Candidate], seats: Sequence[Seat]) -> _Cells:
    """Return what came of each call, the logged ones of the model in production among them."""
    rows = Replay.objects.filter(sample__evaluation=evaluation, candidate__in=columns, again=False)
    judged = scores.read(evaluation, seats)
    # as they stood when it was opened: a label that comes later must not change an outcome that was stated
    said = labels.of_evaluation(evaluation, until=evaluation.created_at)
    wanted = ("sample_id", "candidate_id", "repetition", "pk", "status", "refused", "cost_nanousd", "latency_us")
    found = {}
    for row in rows.values_list(*wanted, named=True):
        own = judged.get(row.pk, {})
        people = said.get((row.sample_id, row.candidate_id)) if row.repetition == 0 else None
        found[row.sample_id, row.candidate_id, row.repetition] = Cell(
            row.status, row.refused, row.cost_nanousd, row.latency_us, tuple(tuple(own.get(s.pk, ())) for s in seats),
            None if people is None else labels.agreed(people),
        )  # fmt: skip
    return found


def _more(cells: _Cells, sample: int, columns: Sequence[Candidate]) -> tuple[tuple[Cell, ...], ...]:
    """Further answers of each column, in the order of repetitions; none where no prompt is asked again."""
    out = []
    for column in columns:
        first = 1 if column.position else 2  # repetition 1 of the model in production is `again`
        found = ((sample, column.pk, repetition) for repetition in range(first, MOST + 1))
        out.append(tuple(cells[place] for place in found if place in cells))
    return tuple(out) if any(out) else ()


# ------------------------------------------------------------------------------------------------ outcome to rows
def store(evaluation: Evaluation, outcome: Outcome) -> None:
    """Write looks, comparisons and what became of each candidate, in one transaction; a repeat writes the same."""
    table, columns = read(evaluation), columns_of(evaluation)
    found = [finding for finding in outcome.findings if finding.look is not None]
    with transaction.atomic():
        evaluation.looks.all().delete()
        evaluation.comparisons.all().delete()
        Look.objects.bulk_create(_look(evaluation, columns[look.column], look) for look in outcome.looks)
        Comparison.objects.bulk_create(
            row for finding in found for row in _comparisons(columns[finding.column], table, finding, outcome=outcome)
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
    candidate: Candidate, table: Table, finding: outcomes.Finding, *, outcome: Outcome
) -> Iterator[Comparison]:
    look, evaluation = finding.look, candidate.evaluation
    if look is None:
        return
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
    yield from _by_use_case(candidate, table, finding, outcome=outcome)


def _by_use_case(
    candidate: Candidate, table: Table, finding: outcomes.Finding, *, outcome: Outcome
) -> Iterator[Comparison]:
    """Quality by use case at the last look: findings shrunk towards the overall mean, not verdicts."""
    evaluation, column = candidate.evaluation, finding.column
    rows, policy = findings.rows_of(outcome, column), Policy.from_json(candidate.evaluation.policy)
    quality, labels = table.samples.guards["quality"][rows], np.array(table.use_cases[rows], dtype=str)
    known = np.isfinite(quality[:, column] - quality[:, 0])
    for found in findings.by_use_case(table, policy, outcome, column=column):
        own = quality[(labels == found.use_case) & known]
        yield Comparison(
            evaluation=evaluation,
            candidate=candidate,
            use_case=found.use_case[:80],
            metric="quality",
            n_prompts=found.prompts,
            n_units=len(set(table.samples.unit[rows][labels == found.use_case].tolist())),
            n_unscored=int((labels == found.use_case).sum()) - found.prompts,
            baseline=float(own[:, 0].mean()),
            value=float(own[:, column].mean()),
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
    is_floor = evaluation.kind == Evaluation.Kind.NOISE  # it has nothing to settle, and nothing to save
    took = ledger.counts(evaluation)
    found = measured(evaluation, rows=outcome.prompts)
    table, volume = measurements.table(found), findings.calls_a_month(evaluation.population)
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
        "unfit_judges": accuracy.unfit_names(evaluation),
        "not_measured": sorted(set(evaluation.goal.value().margins) - {name for name, _ in policy.margins}),
        "unknown": sorted(
            name for name, weight, _ in policy.weights
            if weight and look and (name not in measures or not measures[name].prompts)
        ),
        "use_cases": findings.use_case_rows(table, policy, outcome),
        "by_use_case": breakdown.rows(table, policy, outcome, calls_a_month=volume),
        "saving": None if is_floor else findings.saving(table, policy, outcome, calls_a_month=volume),
        "next_step": None if is_floor else _next_step(
            evaluation, outcome, found, columns=columns, unscored=took["unscored"]
        ),
        "changes": findings.changes(
            table, policy, outcome, total=total_of(evaluation), arms=[column.offer.name for column in columns],
            judges=panel.models(found.chairs),
        ),
        **took,
        **_saved(evaluation, outcome, took["spent_nanousd"], policy=policy),
    }  # fmt: skip


def _next_step(
    evaluation: Evaluation, outcome: Outcome, found: Measurements, *, columns: Sequence[Candidate], unscored: int
) -> dict[str, Any] | None:
    """What would settle it."""
    arms, policy = [ledger.arm(evaluation, column) for column in columns], Policy.from_json(evaluation.policy)
    return settling.cheapest(outcome, policy, found, arms=arms, coverage=evaluation.population, unscored=unscored)


def _finding_json(finding: outcomes.Finding, pk: int) -> dict[str, Any]:
    """What became of a candidate; `looked`: prompts of its last look, of the ranking or of its own test."""
    look = finding.look
    return {
        "candidate": pk,
        "state": finding.state,
        "code": finding.code,
        "prompts": finding.prompts,
        "stage": "" if look is None else "ranking" if look.ranking else "test",
        "looked": 0 if look is None else look.prompts,
        "worse_on": [c.metric for c in look.conditions if c.estimate <= c.bar] if look else [],
    }


def _saved(evaluation: Evaluation, outcome: Outcome, spent_nanousd: int, *, policy: Policy) -> dict[str, Any]:
    """What a plan without early stopping would have taken: all candidates on all prompts, at this run's mean price."""
    total = total_of(evaluation)
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
