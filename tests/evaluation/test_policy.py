"""How a goal becomes the policy of the decision."""

import pytest

from evaluation import policy
from evaluation.statistics.policy import Policy, validate
from projects.values import Effective, Goal

SETTINGS = Effective(
    replay_sample_size=100,
    confidence_threshold=0.8,
    judge_disagreement_threshold=0.25,
    max_evaluation_cost_nanousd=25 * 10**9,
)
ALL = {"quality", "safety", "answered"}


def test_weights_margins_and_thresholds_reach_the_policy() -> None:
    goal = Goal(weights={"quality": 0.5, "cost": 0.5}, margins={"quality": 0.02, "answered": 0.03}, min_gain=0.2)

    found = policy.goal_policy(goal, SETTINGS, measured=ALL, exact=False, fruitless=[0])

    assert found.weights == (("quality", 0.5, 0.10), ("cost", 0.5, 0.50))
    assert found.margins == (("quality", 0.02), ("answered", 0.03))
    assert (found.threshold, found.disagreement, found.min_gain) == (0.8, 0.25, 0.2)
    validate(found)


def test_a_guard_that_nobody_measures_is_left_out() -> None:
    found = policy.goal_policy(Goal(), SETTINGS, measured={"quality", "answered"}, exact=False, fruitless=[])

    assert [name for name, _ in found.margins] == ["quality", "answered"]


def test_hard_limits_become_least_means_of_levels() -> None:
    limits = {"quality": 0.8, "answered": 0.97, "latency_p95_s": 3.0, "cost_per_call_usd": 0.01}

    found = policy.goal_policy(Goal(limits=limits), SETTINGS, measured=ALL, exact=False, fruitless=[])

    assert dict(found.limits) == {"quality": 0.8, "answered": 0.97, "latency_p95_s": 0.95, "cost_per_call_usd": 0.5}


def test_judges_that_know_the_answer_carry_no_error() -> None:
    exact, other = (
        policy.goal_policy(Goal(), SETTINGS, measured=ALL, exact=known, fruitless=[]) for known in (True, False)
    )

    assert (exact.judge_sd, other.judge_sd) == (0.0, 0.025)


def test_each_fruitless_evaluation_halves_the_prior_odds_three_times_at_most() -> None:
    # by hand: odds 1/4 → 1/8 → 1/16 → 1/32, and no further
    found = policy.goal_policy(Goal(), SETTINGS, measured=ALL, exact=False, fruitless=[0, 1, 2, 3, 7])

    assert found.prior == pytest.approx((1 / 5, 1 / 9, 1 / 17, 1 / 33, 1 / 33))


def test_without_repeats_the_prior_is_one_number_and_the_policy_survives_its_json() -> None:
    found = policy.goal_policy(Goal(), SETTINGS, measured=ALL, exact=False, fruitless=[0, 0])

    assert found.prior == 0.2
    assert Policy.from_json(found.to_json()) == found
