"""What went into a decision to the evidence of its outcome: every number that is shown. Pure.

`document` takes what `recommendations.inputs` read from rows, or what a bundle carries: the same inputs give the same
document, so that anyone can recompute it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation import breakdown, conditions, findings, measurements, settling
from evaluation.breakdown import SAME
from evaluation.judges import panel
from evaluation.measurements import Measurements, Table
from evaluation.statistics import decision, fixed_point, intervals
from evaluation.statistics.decision import Finding, Look, Outcome, Policy, Samples, Wanted
from evaluation.values import LOW_COVERAGE

SCHEMA = 3  # 1 lacks `by_use_case`, and the use case of the worst cases; 2 what the next step takes
WORST = 5
Document = dict[str, Any]
Inputs = Mapping[str, Any]


class Undecided(ValueError):
    """The inputs do not hold what an outcome needs."""


@dataclass(frozen=True)
class _Case:
    """Inputs, as far as they are read, and what the decision says of them."""

    inputs: Inputs
    measured: Measurements
    table: Table
    policy: Policy
    outcome: Outcome

    @property
    def samples(self) -> Samples:
        return self.table.samples

    @property
    def arms(self) -> Sequence[Inputs]:
        """The model in production and the candidates, in the order of their columns."""
        arms: Sequence[Inputs] = self.inputs["arms"]
        return arms

    @property
    def judges(self) -> tuple[str, ...]:
        """The judge models in the order of `Samples.scores_by_judge`."""
        return panel.models(self.measured.chairs)


def document(inputs: Inputs) -> Document:
    """The evidence of a finished evaluation as one JSON document.

    Numbers are floats in [0, 1], US dollars or seconds, None where not known; names are gateway names.

    Raises:
        Undecided: prompts are lacking.
        KeyError, TypeError, ValueError: the inputs are not of the form that `inputs.read` gives.
    """
    case = _decided(inputs)
    outcome, policy = case.outcome, case.policy
    leader = outcome.findings[outcome.leader - 1] if outcome.leader else None
    look = leader.look if leader else None
    volume = findings.calls_a_month(inputs["coverage"])
    return {
        "schema": SCHEMA,
        "question": {**inputs["question"], "least_prompts": policy.least_prompts, "least_units": policy.least_units},
        "outcome": _outcome(outcome, policy, case.arms),
        "checks": [conditions.check(dataclasses.asdict(condition)) for condition in look.conditions] if look else [],
        "estimates": _estimates(look),
        "looks": _looks(outcome),
        "candidates": [
            _baseline(case.samples, case.arms[0]),
            *(_candidate(case, column) for column in range(1, len(case.arms))),
        ],
        "pruned": inputs["pruned"],
        "saving": findings.saving(case.table, policy, outcome, calls_a_month=volume),
        "judges": _judges(case),
        "coverage": inputs["coverage"],
        "spend": inputs["spend"],
        "left_out": _left_out(case.samples, policy, inputs["coverage"]),
        "next_step": settling.cheapest(
            outcome, policy, case.measured, arms=case.arms, coverage=inputs["coverage"],
            unscored=inputs["verdicts"]["unscored"],
        ),
        "changes": findings.changes(
            case.table,
            policy,
            outcome,
            total=inputs["total"],
            judges=case.judges,
            arms=[arm["name"] for arm in case.arms],
        ),
        "use_cases": findings.use_case_rows(case.table, policy, outcome),
        "by_use_case": breakdown.rows(case.table, policy, outcome, calls_a_month=volume),
        **_cases(case),
    }  # fmt: skip


def _decided(inputs: Inputs) -> _Case:
    found, policy = Measurements.from_json(inputs["measurements"]), Policy.from_json(inputs["policy"])
    table = measurements.table(found)
    said = decision.step(table.samples, policy, measured=table.measured, total=inputs["total"])
    if isinstance(said, Wanted):
        raise Undecided(f"measurements: {said.rows} prompts are needed for an outcome, and not all are there")
    return _Case(inputs, found, table, policy, said)


def _outcome(outcome: Outcome, policy: Policy, arms: Sequence[Inputs]) -> Document:
    def name(column: int | None) -> str | None:
        return None if column is None else str(arms[column]["name"])

    look = outcome.findings[outcome.leader - 1].look if outcome.leader else None
    return {
        "code": outcome.code,
        "recommended": name(outcome.recommended),
        "leader": name(outcome.leader),
        "confidence": outcome.confidence if look else None,
        "threshold": policy.threshold,
        "prompts": look.prompts if look else outcome.prompts,
        "conversations": look.units if look else 0,
        "ranked": bool(look and look.ranking),
        "reached": outcome.prompts,
        "answers": outcome.candidate_answers,
    }


def _estimates(look: Look | None) -> Document:
    """Shares saved of cost and latency, where known, with the plain means in dollars and seconds."""
    found = {name: measure for name, measure in look.measures.items() if name in ("cost", "latency")} if look else {}
    return {
        name: {
            "estimate": measure.estimate,
            "low": measure.low,
            "high": measure.high,
            "now": measure.baseline,
            "then": measure.value,
            "n": measure.prompts,
        }
        for name, measure in found.items()
        if measure.prompts
    }


def _looks(outcome: Outcome) -> list[Document]:
    return [
        {
            "prompts": look.prompts,
            "ranking": look.ranking,
            "chance": look.chance,
            "p": look.p,
            "confidence": look.confidence,
            "checks": [conditions.check(dataclasses.asdict(condition)) for condition in look.conditions],
        }
        for look in outcome.looks
        if look.column == outcome.leader
    ]


# ------------------------------------------------------------------------------------------------ arms
def _interval(
    found: intervals.Interval | None, *, n: int, factor: float = 1.0, is_share: bool = False
) -> Document | None:
    if found is None:
        return None
    low, high = found.low * factor, found.high * factor
    if is_share:  # an interval by t does not know that no score lies beyond 0 and 1
        low, high = max(0.0, low), min(1.0, high)
    return {"value": found.estimate * factor, "low": low, "high": high, "n": n}


def _arm(samples: Samples, column: int) -> Document:
    """Means of one arm over the prompts it was measured on, each with its 95 % interval and n."""
    found: Document = {"quality": None, "answered": None, "cost_per_1000_usd": None, "latency_p95_s": None}
    for name, x, factor in (
        ("quality", samples.guards.get("quality"), 1.0),
        ("answered", samples.guards.get("answered"), 1.0),
        ("cost_per_1000_usd", samples.cost_usd, 1000.0),
    ):
        if x is not None:
            n = int(np.isfinite(x[:, column]).sum())
            mean = intervals.mean(x[:, column], samples.unit)
            found[name] = _interval(mean, n=n, factor=factor, is_share=factor == 1.0)
    if samples.latency_s is not None:
        seconds = samples.latency_s[:, column]
        found["latency_p95_s"] = _interval(intervals.quantile(seconds, 0.95), n=int(np.isfinite(seconds).sum()))
    return found


def _baseline(samples: Samples, arm: Inputs) -> Document:
    return {"name": arm["name"], "provider": arm["provider"], "state": "baseline", **_arm(samples, 0)} | {
        "prompts": int(np.isfinite(samples.guards["quality"][:, 0]).sum()),
        "chance": None,
        "difference": None,
    }


def _candidate(case: _Case, column: int) -> Document:
    finding: Finding = case.outcome.findings[column - 1]
    quality = next((c for c in finding.look.conditions if c.metric == "quality"), None) if finding.look else None
    return {
        "name": case.arms[column]["name"],
        "provider": case.arms[column]["provider"],
        "state": finding.state,
        "code": finding.code,
        **_arm(case.samples, column),
        "prompts": int(np.isfinite(case.samples.guards["quality"][:, column]).sum()),
        "chance": finding.look.chance if finding.look else None,
        "difference": None
        if quality is None
        else {"value": quality.estimate, "low": quality.low, "high": quality.high},
    }


# ------------------------------------------------------------------------------------------------ judges and gaps
def _judges(case: _Case) -> Document:
    seats = sorted(case.inputs["seats"], key=lambda seat: (seat["model"], seat["rubric"]))
    members = [
        {**{name: seat[name] for name in ("rubric", "model", "exact")}, "version": seat["version"][:12]}
        for seat in seats
    ]
    families = sorted({seat["family"] for seat in seats if seat["family"]})
    found: Document = {"panel": members, "families": families, **case.inputs["verdicts"]}
    found |= {"disagreement": None, "alone": {}, "unfit": [case.judges[i] for i in case.policy.unfit]}
    by, column = case.samples.scores_by_judge, case.outcome.leader
    if by is None or column is None:
        return found
    whole = by[np.isfinite(by[:, [0, column]]).all((1, 2))][:, [0, column]]
    if whole.shape[0]:
        found["disagreement"] = float(fixed_point.mean(whole.max(2) - whole.min(2)).max())
        alone = fixed_point.mean(whole[:, 1] - whole[:, 0])
        found["alone"] = {model: float(value) for model, value in zip(case.judges, alone, strict=True)}
    return found


def _left_out(samples: Samples, policy: Policy, coverage: Mapping[str, Any]) -> list[str]:
    """Codes of what the decision could not know; none where nothing was measured at all."""
    if not samples.unit.size:
        return []
    margins = {name for name, _ in policy.margins}
    out = [f"{name}_not_measured" for name in ("safety", "answered", "stability") if name not in margins]
    if samples.cost_usd is None:
        out.append("cost_unknown")
    if samples.latency_s is None:
        out.append("latency_unknown")
    levels = samples.levels or {}
    if any(name not in levels for name, _ in policy.limits):
        out.append("limit_not_measured")
    if coverage.get("replayable", 0) < (1 - LOW_COVERAGE) * coverage.get("calls", 0):
        out.append("low_coverage")
    return out


def _cases(case: _Case) -> Document:
    """How many cases got better and worse, and the largest drops."""
    if case.outcome.leader is None:
        return {"worst": [], "better": 0, "same": 0, "worse": 0}
    quality = case.samples.guards["quality"]
    now, then = quality[:, 0], quality[:, case.outcome.leader]
    difference = then - now
    order = [int(i) for i in np.argsort(difference, kind="stable") if difference[i] <= -SAME][:WORST]
    worst = [
        {
            "case": i,
            "record": case.measured.lines[i].record,
            "use_case": case.measured.lines[i].use_case,
            "was": float(now[i]),
            "now": float(then[i]),
            "drop": float(difference[i]),
        }
        for i in order
    ]
    return {
        "worst": worst,
        "better": int((difference >= SAME).sum()),
        "same": int((np.abs(difference) < SAME).sum()),
        "worse": int((difference <= -SAME).sum()),
    }
