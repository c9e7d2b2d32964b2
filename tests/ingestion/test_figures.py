"""Figures against numpy, scipy and by hand: quantiles, histograms, correlations, intervals, allocations."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agentopt.lib import intervals
from ingestion.analytics import figures
from ingestion.analytics.figures import Counted

VALUES = st.lists(st.integers(0, 10**12) | st.integers(0, 20), min_size=1, max_size=300)


@given(VALUES, st.integers(1, 999))
def test_quantiles_are_numpy_s_inverted_cdf(values: list[int], thousandths: int) -> None:
    found = Counted.of(Counter(values))

    assert found.quantile(thousandths / 1000) == sorted(values)[max(1, -(-len(values) * thousandths // 1000)) - 1]
    assert found.quantile(0.5) == np.quantile(np.array(values), 0.5, method="inverted_cdf")


def test_ranks_hold_the_binomial_coverage_and_are_at_most_two_wider() -> None:
    rng = random.Random(1)  # noqa: S311
    for _ in range(1500):
        n = int(10 ** rng.uniform(0, 5))
        share = rng.choice([0.001, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, rng.randrange(1, 1000) / 1000])
        below = stats.binom.cdf(np.arange(n + 1), n, share)
        low = int(np.searchsorted(below, 0.025, side="right"))
        high = int(np.searchsorted(below, 0.975, side="left")) + 1

        found = intervals.ranks(n, share)

        if low < 1 or high > n:
            assert found is None
        else:
            assert found is not None
            assert low - 1 <= found[0] <= low
            assert high <= found[1] <= high + 1


def test_the_p95_has_an_interval_from_72_calls_on() -> None:
    assert intervals.ranks(71, 0.95) is None
    assert intervals.ranks(72, 0.95) == (64, 72)


def test_wilson_is_scipy_s() -> None:
    for hits, n in ((0, 5), (3, 17), (17, 17), (250, 10_000)):
        expected = stats.binomtest(hits, n).proportion_ci(0.95, "wilson")

        found = intervals.wilson(hits, n, z=intervals.normal_quantile(0.95))

        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10**10)), min_size=4, max_size=80))
def test_correlations_are_scipy_s(pairs: list[tuple[int, int]]) -> None:
    x, y = [a for a, _ in pairs], [b for _, b in pairs]

    pearson = figures.correlation(figures.products(x, y))
    spearman = figures.correlation(
        figures.products(figures.doubled_ranks(x), figures.doubled_ranks(y)), ranked=True
    )  # fmt: skip

    if len(set(x)) == 1 or len(set(y)) == 1:
        assert pearson.value is spearman.value is None
        assert "same" in pearson.reason
        return
    expected = stats.pearsonr(np.array(x, float), np.array(y, float))
    assert pearson.value == pytest.approx(expected.statistic, abs=1e-9)
    assert spearman.value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)
    if abs(expected.statistic) < 0.999999:
        bounds = expected.confidence_interval(0.95)
        assert (pearson.low, pearson.high) == pytest.approx((bounds.low, bounds.high), abs=1e-6)


def test_correlations_of_few_or_equal_calls_say_why_there_is_none() -> None:
    one = figures.correlation(figures.products([1], [2]))
    three = figures.correlation(figures.products([1, 2, 3], [1, 3, 2]))
    same = figures.correlation(figures.products([5, 5, 5, 5], [1, 2, 3, 4]))
    line = figures.correlation(figures.products([1, 2, 3, 4], [2, 4, 6, 8]))

    assert (one.value, one.reason) == (None, "fewer than two calls tell both")
    assert three.value == pytest.approx(0.5)
    assert three.low is None
    assert (same.value, same.reason) == (None, "one of the two is the same in all calls")
    assert (line.value, line.low, line.high) == (1.0, 1.0, 1.0)


def test_products_are_exact_beyond_64_bits() -> None:
    found = figures.products([2**62, 2**62 + 1], [2**62, 1])

    assert found.xy == 2**124 + 2**62 + 1


def test_spearman_s_interval_is_that_of_bonett_and_wright() -> None:
    # by hand: r = 0.5, n = 28: tanh(atanh(0.5) ± 1.959964 · √((1 + 0.125) / 25)) = tanh(0.549306 ± 0.415770)
    found = intervals.correlation(0.5, 28, ranked=True)

    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.132748, 0.746542), abs=1e-5)


@given(VALUES, st.none() | st.integers(1, 200), st.sampled_from(["auto", "linear", "log"]))
def test_a_histogram_counts_every_value_once(values: list[int], bins: int | None, scale: str) -> None:
    found = figures.histogram(Counted.of(Counter(values)), bins=bins, scale=scale)

    assert list(found.counts) == np.histogram(values, bins=[*found.edges[:-1], found.edges[-1] - 0.5])[0].tolist()
    assert len(found.counts) <= (bins or figures.MOST_BINS + 1)


def test_a_heavy_tail_gets_a_log_scale_and_zeros_a_bin_of_their_own() -> None:
    rng = random.Random(4)  # noqa: S311
    heavy = Counted.of(Counter([0, 0, *(int(rng.lognormvariate(8, 1.8)) + 1 for _ in range(2000))]))
    flat = Counted.of(Counter(range(1000)))

    assert figures.histogram(heavy, bins=None, scale="auto").scale == "log"
    assert figures.histogram(heavy, bins=None, scale="auto").counts[0] == 2
    assert figures.histogram(flat, bins=None, scale="auto").scale == "linear"


def test_the_width_is_that_of_freedman_and_diaconis() -> None:
    values = list(range(1000))  # by hand: IQR 500, 2 · 500 / 10 = 100, so ten bins

    found = figures.histogram(Counted.of(Counter(values)), bins=None, scale="linear")

    assert len(found.counts) == 10
    assert found.edges[:2] == (0, 100)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(0, 400))
def test_a_draw_takes_what_it_should_and_no_stratum_more_than_it_has(sizes: list[int], size: int) -> None:
    for equal in (True, False):
        found = figures.allocate(sizes, size, equal=equal)

        assert sum(found) == min(size, sum(sizes))
        assert all(taken <= n for taken, n in zip(found, sizes, strict=True))
    if sum(sizes) > size:
        shares = figures.allocate(sizes, size, equal=False)
        assert all(abs(taken - size * n / sum(sizes)) < 1 for taken, n in zip(shares, sizes, strict=True))
