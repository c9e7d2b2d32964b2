"""What would change the outcome, and what it would take to settle it."""

import dataclasses

import numpy as np
import pytest

from evaluation.statistics import sensitivity
from evaluation.statistics.decision import Policy, decide
from evaluation.statistics.evidence import evidence
from tests.evaluation.statistics.simulated import BAD, EQUAL, GOOD, Model, answers


def test_the_detectable_difference_is_that_of_the_formula() -> None:
    # by hand: (1.64485 + 0.84162) × 0.45 / 10
    assert sensitivity.detectable_difference(100, level=0.05, sd=0.45) == pytest.approx(0.111891, abs=1e-6)


@pytest.mark.parametrize(("n", "level", "named"), [(0, 0.05, "n"), (10, 1.0, "level"), (10, 0.0, "level")])
def test_a_detectable_difference_of_nothing_is_refused(n: int, level: float, named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}"):
        sensitivity.detectable_difference(n, level=level, sd=0.45)


def test_prompts_to_settle_are_the_fewest_that_do_and_fall_with_the_level() -> None:
    seen = answers(13, [Model(quality=0.0, cost=0.5)], n=60)
    ev = evidence(seen, Policy(judge_sd=0.0))

    n = sensitivity.prompts_to_settle(ev, 60, level=0.05)

    assert n is not None
    assert n > 60
    assert sensitivity.prompts_to_settle(ev, 60, level=0.05, most=int(n * 0.9)) is None
    less = sensitivity.prompts_to_settle(ev, 60, level=0.2)
    assert less is not None
    assert less < n


def test_no_number_of_prompts_settles_a_candidate_that_is_worse() -> None:
    policy = Policy()
    alone, ranked = decide(answers(1, [BAD]), policy), decide(answers(1, [BAD, BAD]), policy)

    assert sensitivity.prompts_for_leader(alone, policy) is None
    assert sensitivity.prompts_for_leader(ranked, policy) is None
    assert "quality" in sensitivity.worse_on(alone)
    assert sensitivity.worse_on(decide(answers(1, []))) == ()


def test_more_prompts_are_needed_after_each_failed_try() -> None:
    policy = Policy(futility=0.0, judge_sd=0.0)
    outcome = decide(answers(13, [Model(quality=0.01, cost=0.5)], n=60), policy, total=60)

    first, again = (sensitivity.prompts_for_leader(outcome, policy, repeats=r) for r in (0, 2))

    assert outcome.code == "evidence_too_weak"
    assert first is not None
    assert again is not None
    assert 60 < first < again


def test_unscored_answers_of_a_candidate_count_as_failures() -> None:
    samples = answers(1, [EQUAL], n=4)
    quality = np.array([[1, np.nan], [np.nan, np.nan], [np.nan, 1], [1, 1]])

    changed = sensitivity.with_unscored_failed(dataclasses.replace(samples, guards={"quality": quality}))

    expected = np.array([[1, 0], [np.nan, np.nan], [np.nan, 1], [1, 1]])
    assert np.array_equal(changed.guards["quality"], expected, equal_nan=True)


def test_leaving_out_a_judge_leaves_the_mean_of_the_others() -> None:
    samples = answers(1, [EQUAL], n=2, judges=3)
    panel = np.array([[[0.0, 0.5, 1.0], [np.nan, 0.2, np.nan]]] * 2)

    rest = sensitivity.without_judge(dataclasses.replace(samples, scores_by_judge=panel), 1)

    assert np.array_equal(rest.guards["quality"][0], [0.5, np.nan], equal_nan=True)
    assert rest.scores_by_judge is not None
    assert rest.scores_by_judge.shape == (2, 2, 2)
    with pytest.raises(ValueError, match=r"^scores_by_judge"):
        sensitivity.without_judge(answers(1, [EQUAL], n=2), 0)


def test_a_price_changes_the_candidates_and_their_limit_alone() -> None:
    samples = dataclasses.replace(
        answers(1, [EQUAL], n=1), cost_usd=np.array([[2.0, 1.0]]), levels={"cost_per_call_usd": np.array([[0.5, 0.75]])}
    )

    dearer = sensitivity.with_price(samples, 2.0)

    assert np.array_equal(dearer.cost_usd, np.array([[2.0, 2.0]]))  # type: ignore[arg-type]
    assert np.array_equal((dearer.levels or {})["cost_per_call_usd"], np.array([[0.5, 0.5]]))


def test_changes_of_a_recommendation_say_how_far_it_holds() -> None:
    samples, policy = answers(0, [GOOD], turns=2, judges=2), Policy()
    outcome = decide(samples, policy)

    changes = sensitivity.what_changes(samples, policy, outcome, total=300)

    assert outcome.recommended == 1
    names = [change.name for change in changes]
    assert names == [
        "unscored_as_failures", "without_judge", "without_judge", "without_largest_unit", "smallest_margin",
        "largest_price_factor", "smallest_weight_of_cost",
    ]  # fmt: skip
    by_name = {change.name: change for change in changes}
    assert by_name["unscored_as_failures"].confidence == outcome.confidence
    margin, factor = by_name["smallest_margin"].value, by_name["largest_price_factor"].value
    assert margin is not None
    assert factor is not None
    assert 0 < margin <= 0.05
    assert factor > 1
    dearer = sensitivity.with_price(samples, factor)
    assert decide(dearer, policy).recommended == 1
    assert decide(sensitivity.with_price(samples, factor * 1.1), policy).recommended is None
    weight = by_name["smallest_weight_of_cost"].value
    assert weight is not None
    assert 0 <= weight < 0.4


def test_changes_of_no_recommendation_say_what_it_would_take() -> None:
    samples, policy = answers(3, [Model(quality=-0.04, cost=0.4)]), Policy()
    outcome = decide(samples, policy)

    by_name = {c.name: c for c in sensitivity.what_changes(samples, policy, outcome, total=300)}

    assert outcome.recommended is None
    needed = by_name["margin_needed"].value
    assert needed is not None
    assert needed > 0.05
    assert "price_factor_needed" in by_name


def test_a_change_that_needs_rows_nobody_measured_says_so() -> None:
    samples, policy = answers(1, [BAD]), Policy()
    outcome = decide(samples, policy)
    measured = np.array([outcome.prompts, outcome.prompts])

    changes = sensitivity.what_changes(samples, policy, outcome, total=300, measured=measured)

    assert changes[0].code == outcome.code
    for change in changes[-2:]:
        assert (change.value, change.recommended, change.code) == (None, None, sensitivity.NONE_IN_REACH)
    assert changes[-1].name == "weight_of_cost_needed"
