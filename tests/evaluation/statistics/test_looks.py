"""When to look, and what a look may cost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evaluation.statistics import looks
from evaluation.statistics.policy import Policy

FRACTIONS = (0.1, 0.25, 0.5, 1.0)


def test_looks_go_on_by_factors_of_one_and_a_half() -> None:
    # by hand: 300 × 1.5 = 450, 450 × 1.5 = 675
    assert looks.schedule(Policy(), 700)[-4:] == [300, 450, 675, 700]
    assert looks.schedule(Policy(), 80) == [20, 30, 50, 75, 80]
    assert looks.schedule(Policy(), 10) == [10]


def test_a_single_look_costs_the_whole_error() -> None:
    assert looks.look_levels((1.0,), 0.05) == pytest.approx((0.05,))


def test_two_looks_spend_the_error_that_the_bivariate_normal_says() -> None:
    # second source: P(cross at 0.5) + P(not at 0.5, cross at 1) = alpha, correlation √0.5
    first, second = looks.look_levels((0.5, 1.0), 0.1)
    bounds = stats.norm.isf([first, second])

    both_below = stats.multivariate_normal(cov=[[1, 0.5**0.5], [0.5**0.5, 1]]).cdf(bounds)

    assert first == pytest.approx(0.1 * 0.25)
    assert 1 - both_below == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize("floor", [0.0, 2.0])
def test_the_chance_to_cross_at_any_look_is_alpha(floor: float) -> None:
    # second source: simulated paths, with a shared error of `floor` times the variance of the last look
    rng = np.random.default_rng(11)
    steps = np.diff([0.0, *FRACTIONS])
    path = (rng.standard_normal((200_000, 4)) * np.sqrt(steps)).cumsum(1) / np.array(FRACTIONS)
    shared = np.sqrt(floor) * rng.standard_normal((200_000, 1))
    z = (path + shared) / np.sqrt(1 / np.array(FRACTIONS) + floor)

    levels = looks.look_levels(FRACTIONS, 0.1, floor=floor)

    crossed = (z > stats.norm.isf(levels)).any(1).mean()
    assert crossed == pytest.approx(0.1, abs=4 * (0.1 * 0.9 / 200_000) ** 0.5)


def test_a_p_value_at_the_boundary_is_worth_the_overall_level() -> None:
    levels = looks.look_levels(FRACTIONS, 0.05)

    found = [looks.sequential_p(p, i, fractions=FRACTIONS, rho=2.0, floor=0.0) for i, p in enumerate(levels)]

    assert found == pytest.approx([0.05] * 4, rel=0.01)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 3), st.sampled_from([0.0, 0.7, 9.0]))
def test_sequential_p_never_falls_when_p_grows_and_is_never_smaller(
    one: float, other: float, look: int, floor: float
) -> None:
    low, high = (looks.sequential_p(p, look, fractions=FRACTIONS, rho=2.0, floor=floor) for p in sorted((one, other)))

    assert low <= high <= 1
    assert low >= min(one, other) * 0.999


@given(st.integers(-1, 100))
def test_most_failures_is_the_last_number_that_passes(last: int) -> None:
    assert looks.most_failures(lambda p: p <= (last + 1) / 101 + 1e-12, 100) == last
