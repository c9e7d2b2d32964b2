"""A verdict for each use case under one error budget."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evaluation.statistics.decision import Outcome, Policy, Samples, decide
from evaluation.statistics.policy import level_of
from evaluation.statistics.samples import rows_of
from evaluation.statistics.use_case_runs import shares
from tests.evaluation.statistics.simulated import BAD, EQUAL, GOOD, PAST_THE_MARGIN, Model, answers


def _mixed(seed: int, models: dict[str, Model], n: int = 300) -> tuple[Samples, np.ndarray]:
    """Return samples in which one candidate is as `models` says in each use case, rows in turn."""
    parts = [answers(seed + i, [model], n=n) for i, model in enumerate(models.values())]
    order = np.arange(n * len(parts)).reshape(len(parts), n).T.ravel()

    def woven(pick: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(pick)[order]

    samples = Samples(
        guards={name: woven([p.guards[name] for p in parts]) for name in parts[0].guards},
        unit=np.arange(n * len(parts)),
        cost_usd=woven([p.cost_usd for p in parts if p.cost_usd is not None]),
        latency_s=woven([p.latency_s for p in parts if p.latency_s is not None]),
    )
    return samples, np.repeat(list(models), n)[order]


def test_the_error_is_shared_in_proportion_to_traffic() -> None:
    # by hand: 29 prompts decide nothing, so 300 + 100 share the whole
    assert shares({"refunds": 300, "chat": 100, "rare": 29}, Policy()) == {"chat": 0.25, "refunds": 0.75}
    assert shares({"rare": 12}, Policy()) == {}


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 5000), max_size=12))
def test_shares_never_exceed_the_budget(traffic: dict[str, int]) -> None:
    found = shares(traffic, Policy())

    assert math.fsum(found.values()) <= 1 + 1e-9
    assert all(traffic[name] >= Policy().least_prompts for name in found)


def decided(samples: Samples, use_case: np.ndarray, policy: Policy) -> dict[str, Outcome]:
    """The outcome of each use case that is large enough, as evaluations of their own under one error budget."""
    names, counts = np.unique(use_case, return_counts=True)
    budget = shares(dict(zip(map(str, names), counts.tolist(), strict=True)), policy)
    return {
        name: decide(rows_of(samples, use_case == name), dataclasses.replace(policy, share=share))
        for name, share in budget.items()
    }


def test_a_use_case_switches_where_it_is_shown_and_another_stays() -> None:
    better = dataclasses.replace(GOOD, quality=0.1)
    samples, use_case = _mixed(3, {"refunds": better, "legal": BAD})

    found = decided(samples, use_case, Policy(judge_sd=0.0))

    assert found["refunds"].recommended == 1
    assert found["legal"].code == "no_candidate_likely"


def test_a_share_needs_the_evidence_of_a_smaller_error() -> None:
    # by hand: p of the run is the sequential p over its share, so that a third of the share trebles it
    samples = answers(0, [GOOD])

    whole, third = decide(samples), decide(samples, Policy(share=1 / 3))

    look = next(look for look in third.looks if look.p is not None)
    same = next(other for other in whole.looks if other.prompts == look.prompts)
    assert same.p is not None
    assert look.p == pytest.approx(min(1.0, 3 * same.p))
    assert third.prompts >= whole.prompts


def test_any_wrong_switch_of_four_use_cases_is_no_more_frequent_than_stated() -> None:
    runs = 40
    models = dict(zip("abcd", [PAST_THE_MARGIN, EQUAL, PAST_THE_MARGIN, PAST_THE_MARGIN], strict=True))

    wrong = 0
    for seed in range(runs):
        samples, use_case = _mixed(100 * seed, models, n=100)
        outcomes = decided(samples, use_case, Policy(judge_sd=0.0)).values()
        wrong += any(said.recommended is not None for said in outcomes)

    assert wrong <= stats.binom.ppf(0.999, runs, level_of(0.7, 0.2))
