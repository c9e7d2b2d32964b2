"""Intervals of proportions, means and quantiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evaluation.statistics import intervals


@given(st.integers(1, 400), st.data())
def test_wilson_agrees_with_scipy(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))

    found = intervals.wilson(successes, n)

    second = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((second.low, second.high), abs=1e-9)
    assert 0 <= found.low <= found.estimate <= found.high <= 1


def test_wilson_of_no_failure_still_has_width() -> None:
    # by hand: z² / (n + z²) = 3.8415 / 13.8415 at n = 10
    assert intervals.wilson(0, 10) == pytest.approx((0.0, 0.0, 0.27753), abs=1e-5)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_what_is_no_proportion(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        intervals.wilson(successes, n)


def test_a_mean_of_units_of_one_is_the_t_interval() -> None:
    x = np.random.default_rng(4).random(25)

    found = intervals.mean(x, np.arange(25))

    assert found is not None
    second = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((second.low, second.high))


def test_repeating_every_prompt_of_a_unit_teaches_nothing() -> None:
    x = np.random.default_rng(5).random(12)

    once, thrice = intervals.mean(x, np.arange(12)), intervals.mean(np.repeat(x, 3), np.repeat(np.arange(12), 3))

    assert once == pytest.approx(thrice)


def test_a_mean_of_fewer_than_two_known_units_is_unknown() -> None:
    assert intervals.mean(np.array([1.0, np.nan]), np.array([1, 2])) is None
    assert intervals.mean(np.array([1.0, 0.0]), np.array([1, 1])) is None


def test_the_interval_of_a_median_has_the_ranks_of_the_tables() -> None:
    # by hand: for n = 10, P(B ≤ 1) = 11 / 1024 ≤ 0.025 < P(B ≤ 2); so the 2nd and the 9th value
    found = intervals.quantile(np.arange(1.0, 11.0), 0.5)

    assert found == (5.5, 2.0, 9.0)


def test_a_p95_needs_72_values() -> None:
    # by hand: 0.95⁷² = 0.0249 ≤ 0.025 < 0.95⁷¹
    assert intervals.quantile(np.arange(71.0), 0.95) is None
    assert intervals.quantile(np.arange(72.0), 0.95) is not None
    assert intervals.quantile(np.array([np.nan]), 0.5) is None


def test_a_quantile_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    found = [intervals.quantile(rng.exponential(size=120), 0.9) for _ in range(600)]

    covered = np.mean([x is not None and x.low <= stats.expon.ppf(0.9) <= x.high for x in found])

    assert covered >= 0.95 - 3 * (0.95 * 0.05 / 600) ** 0.5


@pytest.mark.parametrize("level", [0.0, 1.0, float("nan")])
def test_a_level_that_is_no_share_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        intervals.wilson(1, 2, level=level)


def test_unequal_shapes_and_infinite_values_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^x: shape"):
        intervals.mean(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match=r"^x: values"):
        intervals.mean(np.array([np.inf, 1.0]), np.zeros(2))
    with pytest.raises(ValueError, match=r"^share"):
        intervals.quantile(np.zeros(3), 1.0)
