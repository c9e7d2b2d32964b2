"""What would settle an outcome that is no recommendation: the cheapest step, its calls and its price. Pure.

`statistics.next_step` says which step it is; here it gets what it takes at the prices of the run. Brings numpy and
scipy through the engine, so pages read what is stored; `evaluation.changes` has the words.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentopt.lib import money
from evaluation.measurements import Measurements
from evaluation.statistics import next_step, sensitivity
from evaluation.statistics.decision import Outcome, Policy
from evaluation.statistics.next_step import CHANCE, Code

_Row = dict[str, Any]
_Arm = Mapping[str, Any]  # of ledger.arm
_UNKNOWN: Mapping[str, None] = {"cost_usd": None, "model_calls": None, "judge_calls": None}


@dataclass(frozen=True)
class _Run:
    """What the run took, as far as the price of more of it depends on it."""

    found: Measurements
    outcome: Outcome
    arms: Sequence[_Arm]

    def of_prompts(self, prompts: int) -> Mapping[str, Any]:
        """What so many more prompts take: the leader's answers, the baseline's where it is called, and verdicts."""
        column, lines = self.outcome.leader, self.found.lines
        asked = [line for line in lines if column is not None and line.cells[column] is not None]
        if column is None or not asked:
            return _UNKNOWN
        answers = sum(1 + len(line.others(column)) for line in asked) / len(asked)
        called = [cell for line in lines for cell in line.called_baseline()]
        repeating = self.found.repeating
        judged = sum(len(repeating.judged_of_baseline(place)) for place in range(len(lines))) / len(lines)
        each = None
        mine, base = self.arms[column], self.arms[0]
        paid = (mine["cost_nanousd"], mine["verdicts_nanousd"], base["verdicts_nanousd"])
        if None not in (*paid, *(cell.cost_nanousd for cell in called)):
            own = (paid[0] + paid[1]) / len(asked)
            each = own + (paid[2] + sum(cell.cost_nanousd or 0 for cell in called)) / len(lines)
        return {
            "cost_usd": None if each is None else _usd(prompts * each),
            "model_calls": math.ceil(prompts * (answers + len(called) / len(lines))),
            "judge_calls": math.ceil(prompts * (answers + judged) * self._asked_each),
        }

    def of_verdicts(self, calls: int) -> _Row:
        """What so many more verdicts take, at the mean price of those there are."""
        known = [arm["verdicts_nanousd"] for arm in self.arms]
        there = self.outcome.judged_answers * self._asked_each
        cost = None if None in known or not there else _usd(calls * sum(known) / there)
        return {"cost_usd": cost, "model_calls": 0, "judge_calls": calls}

    @property
    def verdicts_of_one_judge(self) -> int:
        """What one more judge model with the rubrics of the others would have to say."""
        models = {chair.model for chair in self.found.chairs if chair.model}
        return round(self.outcome.judged_answers * self._asked_each / len(models)) if models else 0

    @property
    def _asked_each(self) -> int:
        """Calls to judges for one answer."""
        return sum(n for chair, n in zip(self.found.chairs, self.found.repeats, strict=True) if chair.model)


def cheapest(
    outcome: Outcome, policy: Policy, found: Measurements, *, arms: Sequence[_Arm], coverage: Mapping[str, Any],
    unscored: int,
) -> _Row | None:  # fmt: skip
    """The cheapest step that could settle it; None after a recommendation.

    Keys: `code` (`statistics.next_step.Code`); what is lacking (`prompts`, `labels`, `missing`, `worse_on`); what it
    takes (`cost_usd`, `model_calls`, `judge_calls`: of the prompts, where there are some; None: not known); `chance`
    that it settles it if the trend holds.

    Args:
        found: what was measured on the prompts that were reached.
        arms: the models by column, as `ledger.arm` has them.
        coverage: Evaluation.population.
        unscored: verdicts without a score.
    """
    run = _Run(found, outcome, arms)
    prices = next_step.Prices(prompt_usd=run.of_prompts(1)["cost_usd"])
    step = next_step.cheapest(outcome, policy, prices=prices)
    if step is None:
        return None
    if step.code == Code.NOTHING:
        return {"code": step.code.value, "worse_on": list(step.worse_on)}
    if step.code in (Code.MORE_PROMPTS, Code.MORE_LABELS):
        return _trend(step, policy, run, coverage=coverage)
    return {"code": step.code.value, **_lacking(step.code, policy, run, coverage=coverage, unscored=unscored)}


def _trend(step: next_step.NextStep, policy: Policy, run: _Run, *, coverage: Mapping[str, Any]) -> _Row:
    """Labels or prompts. The error of this run is spent, so more prompts mean a new run on fresh ones."""
    prompts = step.prompts or sensitivity.prompts_for_leader(run.outcome, policy, repeats=1)
    fresh = coverage.get("replayable", 0) - run.outcome.prompts
    return {
        "code": step.code.value,
        "prompts": prompts,
        "labels": step.labels,
        "chance": CHANCE,
        "missing": max(0, prompts - fresh) if prompts else 0,
        **(run.of_prompts(prompts) if prompts else _UNKNOWN),
    }


def _lacking(code: Code, policy: Policy, run: _Run, *, coverage: Mapping[str, Any], unscored: int) -> _Row:
    if code == Code.MORE_LOGS:
        return {"missing": max(0, policy.least_prompts - coverage.get("replayable", 0))}
    if code == Code.MORE_CONVERSATIONS:
        missing = max(1, policy.least_units - coverage.get("conversations", 0))
        return {"missing": missing, **run.of_prompts(missing)}
    if code == Code.ANOTHER_JUDGE:
        return run.of_verdicts(run.verdicts_of_one_judge)
    return run.of_verdicts(unscored) if code == Code.MEND_JUDGES else {}


def _usd(nanousd: float) -> float:
    return float(money.usd(round(nanousd)) or 0)
