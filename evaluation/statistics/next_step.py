"""What to do after no recommendation, with its price: the cheapest of what would settle it."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from evaluation.statistics import looks
from evaluation.statistics.decision import Outcome, Policy
from evaluation.statistics.evidence import Evidence
from evaluation.statistics.policy import level_of, prior_after, priors_of
from evaluation.statistics.prospects import predicted_pass
from evaluation.statistics.sensitivity import prompts_for_leader, worse_on

_LABELS = (20, 30, 50, 75, 100, 150, 200, 300, 500)
RESIDUAL_SD = 0.4  # of human minus judged difference on one prompt, until labels tell: answers right or wrong
CHANCE = 0.8


class Code(StrEnum):
    """The next step."""

    MORE_PROMPTS = "more_prompts"
    MORE_LABELS = "more_labels"
    ANOTHER_JUDGE = "another_judge"
    MEND_JUDGES = "mend_judges"
    MORE_CONVERSATIONS = "more_conversations"
    MORE_LOGS = "more_logs"
    MORE_CANDIDATES = "more_candidates"
    NOTHING = "nothing"


@dataclass(frozen=True)
class NextStep:
    """One step; numbers are None where they have no meaning or are not known."""

    code: Code
    prompts: int | None = None
    labels: int | None = None
    cost_usd: float | None = None
    worse_on: tuple[str, ...] = ()  # metrics on which the leader's own estimate fails its bar


@dataclass(frozen=True)
class Prices:
    """What a step costs; None: not known."""

    prompt_usd: float | None = None  # the leader's answer, the baseline's and the leader's verdicts
    label_usd: float | None = None  # a person's time for one labelled pair


_FIXED = {
    "no_candidate": Code.MORE_CANDIDATES,
    "too_few_prompts": Code.MORE_LOGS,
    "too_many_unscored": Code.MEND_JUDGES,
    "judges_disagree": Code.ANOTHER_JUDGE,
    "judge_unfit": Code.ANOTHER_JUDGE,
    "too_few_conversations": Code.MORE_CONVERSATIONS,
}


def labels_for_leader(
    outcome: Outcome, policy: Policy, *, repeats: int = 0, residual_sd: float = RESIDUAL_SD
) -> int | None:
    """Return the labelled pairs with which the leader would pass at the prompts seen, with 80 % chance, if all holds.

    m labels leave a judge error of sd √(t² e² / (t² + e²)), with t² the error before and e² = residual_sd² / m.

    Returns:
        None where no number tried does, or the judges are exact, or nothing was tested.

    Args:
        outcome: of a run without a recommendation.
        policy: of that run.
        repeats: evaluations in which the leader was tried before.
        residual_sd: of human minus judged difference on one prompt.
    """
    ev = outcome.leader_evidence
    if ev is None or outcome.leader is None or policy.judge_sd == 0 or worse_on(outcome):
        return None
    level = _last_level(outcome, policy, repeats)
    place = outcome.leader - 1 if ev.gain.size > 1 else 0
    for labels in _LABELS:
        if float(predicted_pass(_labelled(ev, policy, labels, residual_sd), 1.0, level=level)[place]) >= CHANCE:
            return labels
    return None


def _last_level(outcome: Outcome, policy: Policy, repeats: int) -> float:
    """Nominal level of the last look of a run of its own after so many tries."""
    prior = priors_of(policy, len(outcome.findings))[(outcome.leader or 1) - 1]
    alpha = level_of(policy.threshold, prior_after(prior, repeats))
    fractions = looks.fractions_of(looks.schedule(policy, policy.looks[-1]))
    return looks.look_levels(fractions, max(round(alpha, 5), 1e-5), rho=policy.rho)[-1]


def _labelled(ev: Evidence, policy: Policy, labels: int, residual_sd: float) -> Evidence:
    prior, error = policy.judge_sd**2, residual_sd**2 / labels
    left = float(np.sqrt(prior * error / (prior + error)))
    return dataclasses.replace(ev, floor=ev.floor * left / policy.judge_sd)


def cheapest(outcome: Outcome, policy: Policy, *, prices: Prices, repeats: int = 1) -> NextStep | None:
    """Return the cheapest step that could settle it; None after a recommendation.

    Labels come before prompts where both would do and prices are not known: they cost no model call.

    Args:
        outcome: of a run that has come to its end.
        policy: of that run.
        prices: of a prompt and of a label.
        repeats: evaluations in which the leader was tried, this one included: more prompts are a run of their own.
    """
    if outcome.recommended is not None:
        return None
    if outcome.code in _FIXED:
        return NextStep(_FIXED[outcome.code])
    prompts = prompts_for_leader(outcome, policy, repeats=repeats)
    labels = labels_for_leader(outcome, policy, repeats=repeats) if outcome.code == "evidence_too_weak" else None
    found = []
    if labels is not None:
        cost = None if prices.label_usd is None else labels * prices.label_usd
        found.append(NextStep(Code.MORE_LABELS, labels=labels, cost_usd=cost))
    if prompts is not None:
        cost = None if prices.prompt_usd is None else prompts * prices.prompt_usd
        found.append(NextStep(Code.MORE_PROMPTS, prompts=prompts, cost_usd=cost))
    if not found:
        return NextStep(Code.NOTHING, worse_on=worse_on(outcome))
    if any(step.cost_usd is None for step in found):
        return found[0]
    return min(found, key=lambda step: step.cost_usd or 0.0)
