"""Sums that come out the same in any order."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from evaluation.statistics import fixed_point
from evaluation.statistics.fixed_point import Grouping


def _weighted_by_hand(whole: fixed_point.Array, weights: fixed_point.Array) -> list[list[int]]:
    return [
        [sum(int(x) * int(w) for x, w in zip(column, draw, strict=True)) for draw in weights.T] for column in whole.T
    ]


def test_a_product_equals_the_computation_with_whole_numbers() -> None:
    x = np.random.default_rng(1).random((60, 3)) - 0.4
    grouping = Grouping.by(np.arange(60) // 2)

    sums = grouping.sums(x)
    weights = grouping.weights(40, 7)

    assert (sums.whole.T @ weights).tolist() == _weighted_by_hand(sums.whole, weights)


@pytest.mark.parametrize("n", [1, 20, 300, 4097])
def test_no_partial_sum_can_reach_the_end_of_exact_whole_numbers(n: int) -> None:
    # the worst case: every value at its largest, every weight at its largest
    grouping = Grouping.by(np.zeros(n))

    sums = grouping.sums(np.ones((n, 1)))

    largest = 32 * 2**fixed_point.WEIGHT_BITS
    assert float(np.abs(sums.whole).sum()) * largest <= 2**53
    assert fixed_point.unit_weights(4000, 512, 7).max() < largest


def test_a_split_or_reordered_sum_has_identical_bytes() -> None:
    rng = np.random.default_rng(2)
    grouping = Grouping.by(np.arange(301))
    sums, weights = grouping.sums(rng.random((301, 4))), grouping.weights(500, 7)
    order = rng.permutation(301)

    straight = sums.whole.T @ weights

    assert (sums.whole[order].T @ weights[order]).tobytes() == straight.tobytes()
    assert ((sums.whole[:97].T @ weights[:97]) + (sums.whole[97:].T @ weights[97:])).tobytes() == straight.tobytes()


@given(arrays.arrays(float, (7, 2), elements=st.floats(0, 1e6, allow_subnormal=False)))
def test_rounding_costs_a_column_less_than_a_millionth_of_its_largest_value(x: fixed_point.Array) -> None:
    sums = Grouping.by(np.arange(7)).sums(x)

    assert np.all(np.abs(sums.each() - x) <= x.max(0) * 1e-6)


def test_units_are_known_by_first_appearance() -> None:
    # by hand: b is unit 0 (rows 0 and 2), a is unit 1 (row 1)
    grouping = Grouping.by(np.array(["b", "a", "b"]))

    sums = grouping.sums(np.array([[1.0], [2.0], [4.0]]))

    assert grouping.units == 2
    assert sums.each().tolist() == [[5.0], [2.0]]
    assert sums.total().tolist() == [7.0]


def test_a_unit_keeps_its_weights_whatever_the_number_of_units() -> None:
    few, many = fixed_point.unit_weights(100, 512, 7), fixed_point.unit_weights(100, 1024, 7)

    assert few.tobytes() == many[:512].tobytes()


def test_weights_have_the_moments_of_the_exponential() -> None:
    weights = fixed_point.unit_weights(4000, 512, 7) / 2**fixed_point.WEIGHT_BITS

    assert weights.mean() == pytest.approx(1.0, abs=0.005)
    assert weights.var() == pytest.approx(1.0, abs=0.02)


def test_an_imagined_unit_of_no_weight_weighs_nothing() -> None:
    assert not fixed_point.imagined_weights(50, 7, 0.0).any()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_a_total_is_the_correctly_rounded_sum(values: list[float]) -> None:
    exact = float(sum(map(Fraction, values)))

    assert float(fixed_point.total(np.array(values))) == exact
    assert float(fixed_point.total(np.array(values[::-1]))) == exact


def test_mean_and_variance_agree_with_numpy() -> None:
    x = np.random.default_rng(3).random((40, 3))

    assert fixed_point.mean(x) == pytest.approx(x.mean(0))
    assert fixed_point.variance(x, ddof=1) == pytest.approx(x.var(0, ddof=1))
    assert fixed_point.total(np.empty((0, 2))).tolist() == [0.0, 0.0]
    assert not math.isnan(float(fixed_point.total(np.empty(0))))
