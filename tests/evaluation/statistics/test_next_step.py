"""What would settle an outcome, and what it costs."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics import next_step
from evaluation.statistics.decision import Outcome, Policy, Samples, decide
from evaluation.statistics.next_step import Code, Prices, cheapest
from tests.evaluation.statistics.simulated import BAD, GOOD, Model, answers


def _undecided(judge_sd: float = 0.035) -> tuple[Outcome, Policy]:
    """An equal and cheaper candidate whose quality only the judges' error leaves open."""
    samples = answers(2, [Model(cost=0.4)], n=300)
    quality = samples.guards["quality"]
    same = np.stack([quality[:, 0], quality[:, 0]], axis=1)
    same[::60, 1] = 1 - same[::60, 1]
    policy = Policy(judge_sd=judge_sd, futility=0.0, margins=(("quality", 0.05),))
    return decide(Samples({"quality": same}, samples.unit, cost_usd=samples.cost_usd), policy), policy


def test_labels_settle_what_only_the_judges_leave_open() -> None:
    outcome, policy = _undecided()

    labels = next_step.labels_for_leader(outcome, policy)

    assert outcome.code == "evidence_too_weak"
    assert labels in next_step._LABELS
    more = next_step.labels_for_leader(outcome, policy, residual_sd=0.8)
    assert more is None or more >= labels


def test_labels_leave_the_judge_error_of_the_formula() -> None:
    # by hand: t = 0.035, e² = 0.16 / 100, left = √(0.001225 · 0.0016 / 0.002825) = 0.026340
    outcome, policy = _undecided()
    assert outcome.leader_evidence is not None

    found = next_step._labelled(outcome.leader_evidence, policy, 100, 0.4)

    assert found.floor[0] == pytest.approx(0.026340, abs=1e-6)
    # second source: the posterior sd of a normal mean, by its precision
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 0.035, 200_000)
    seen = truth + rng.normal(0, math.sqrt(0.0016), truth.size)
    assert np.std(truth - stats.linregress(seen, truth).slope * seen) == pytest.approx(found.floor[0], rel=0.01)


def test_exact_judges_and_worse_candidates_need_no_labels() -> None:
    outcome, policy = _undecided()

    assert next_step.labels_for_leader(outcome, dataclasses.replace(policy, judge_sd=0.0)) is None
    assert next_step.labels_for_leader(decide(answers(1, [BAD])), Policy()) is None
    assert next_step.labels_for_leader(decide(answers(1, [])), Policy()) is None


def test_the_cheapest_of_labels_and_prompts_is_taken() -> None:
    outcome, policy = _undecided()
    labels = cheapest(outcome, policy, prices=Prices(), repeats=0)
    assert labels is not None
    assert labels.labels is not None

    dear_labels = cheapest(outcome, policy, prices=Prices(prompt_usd=1e-9, label_usd=10.0), repeats=0)
    cheap_labels = cheapest(outcome, policy, prices=Prices(prompt_usd=10.0, label_usd=0.5), repeats=0)

    assert labels.code == Code.MORE_LABELS
    assert cheap_labels is not None
    assert cheap_labels.cost_usd == 0.5 * labels.labels
    assert dear_labels is not None
    assert dear_labels.code in {Code.MORE_PROMPTS, Code.MORE_LABELS}


def test_nothing_helps_a_candidate_that_is_worse_and_it_is_said_on_what() -> None:
    found = cheapest(decide(answers(1, [BAD])), Policy(), prices=Prices())

    assert found is not None
    assert found.code == Code.NOTHING
    assert "quality" in found.worse_on


def test_every_reason_has_its_step() -> None:
    samples = answers(1, [GOOD])
    none = dataclasses.replace(samples, guards={"quality": np.full((300, 2), np.nan)})

    assert cheapest(decide(samples), Policy(), prices=Prices()) is None or decide(samples).recommended is None
    assert cheapest(decide(none), Policy(), prices=Prices()) == next_step.NextStep(Code.MEND_JUDGES)
    few = decide(samples, total=20)
    assert cheapest(few, Policy(), prices=Prices()) == next_step.NextStep(Code.MORE_LOGS)
    assert cheapest(decide(answers(1, [])), Policy(), prices=Prices()) == next_step.NextStep(Code.MORE_CANDIDATES)
