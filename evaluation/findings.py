"""What is found beside an outcome: use cases, the saving, and what would change it. Pure.

Findings describe; only the outcome decides. Brings numpy and scipy through the engine, so pages read what is stored.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation import savings
from evaluation.measurements import Table
from evaluation.statistics import fixed_point, sensitivity, use_cases
from evaluation.statistics.decision import Outcome, Policy
from evaluation.statistics.evidence import mean_interval
from evaluation.statistics.use_cases import UseCaseFinding

_Rows = list[dict[str, Any]]
_Z = 1.96


def ranked_prompts(outcome: Outcome) -> int:
    """Prompts of the ranking stage, which the test does not use."""
    return max((look.prompts for look in outcome.looks if look.ranking), default=0)


def rows_of(outcome: Outcome, column: int) -> slice:
    """The prompts of a candidate's last look."""
    look = outcome.findings[column - 1].look
    start = 0 if look is None or look.ranking else ranked_prompts(outcome)
    return slice(start, start + (look.prompts if look else 0))


def by_use_case(table: Table, policy: Policy, outcome: Outcome, *, column: int) -> tuple[UseCaseFinding, ...]:
    """Quality by use case at a candidate's last look, shrunk towards the overall mean."""
    rows = rows_of(outcome, column)
    quality = table.samples.guards["quality"][rows]
    margin = dict(policy.margins).get("quality", 1.0)
    labels = np.array(table.use_cases[rows], dtype=str)
    return use_cases.findings(quality[:, column] - quality[:, 0], labels, margin=margin)


def use_case_rows(table: Table, policy: Policy, outcome: Outcome) -> _Rows:
    """The same of the leader, as it is stored and shown; low and high: 95 %."""
    if outcome.leader is None:
        return []
    return [
        {
            "use_case": one.use_case,
            "prompts": one.prompts,
            "raw": one.raw,
            "estimate": one.shrunk,
            "low": one.shrunk - _Z * one.error,
            "high": one.shrunk + _Z * one.error,
            "chance_worse": one.chance_worse,
            "worse": one.worse,
        }
        for one in by_use_case(table, policy, outcome, column=outcome.leader)
    ]


def calls_a_month(coverage: Mapping[str, Any]) -> float | None:
    """At the rate of the window, of Evaluation.population; None: it is too short to tell."""
    calls, days = coverage.get("calls"), coverage.get("days")
    return savings.monthly_calls(calls, days=days) if calls and days else None


def saving(table: Table, policy: Policy, outcome: Outcome, *, calls_a_month: float | None) -> dict[str, Any]:
    """What the leader would save a month, from the mean difference of cost per call.

    Returns:
        savings.Saving as a row, and `n` prompts; or `unknown` with the reason: cost_unknown, volume_unknown.
    """
    cost = table.samples.cost_usd
    if cost is None or outcome.leader is None:
        return {"unknown": "cost_unknown"}
    pairs = cost[:, [0, outcome.leader]]
    found = mean_interval(pairs[:, 0] - pairs[:, 1], table.samples.unit, policy)
    if found is None or calls_a_month is None:
        return {"unknown": "cost_unknown" if found is None else "volume_unknown"}
    known = pairs[np.isfinite(pairs).all(1)]
    now, then = (float(mean) for mean in fixed_point.mean(known))
    promised = savings.promised(calls_a_month, now_usd=now, then_usd=then, interval=(found.low, found.high))
    return {**dataclasses.asdict(promised), "n": int(known.shape[0])}


def changes(
    table: Table, policy: Policy, outcome: Outcome, *, total: int, arms: Sequence[str], judges: Sequence[str]
) -> _Rows:
    """The outcome with one thing changed at a time, each decided again on the same rows.

    Args:
        total: prompts that might be used at most.
        arms: names of the models by column.
        judges: judge models in the order of `Samples.scores_by_judge`.
    """
    if outcome.leader is None:
        return []
    found = sensitivity.what_changes(table.samples, policy, outcome, total=total, measured=table.measured)
    return [
        {
            "name": change.name,
            "value": judges[int(change.value)]
            if change.name == "without_judge" and change.value is not None
            else change.value,
            "recommended": None if change.recommended is None else arms[change.recommended],
            "confidence": change.confidence,
            "code": change.code,
        }
        for change in found
    ]
