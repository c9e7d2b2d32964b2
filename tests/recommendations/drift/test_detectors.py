"""The sequential detector: by hand, by properties, and against what it must not do."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recommendations.drift import detectors, references, scales
from recommendations.drift.detectors import State
from recommendations.drift.references import WEEK, Reference
from recommendations.drift.scales import Policy

DAY = 24.0


def reference(**changes: Any) -> Reference:
    """A level of one half, told apart from 0.4 and 0.6."""
    found: dict[str, Any] = {
        "view": "share", "amounts": np.empty(0), "base": np.full(WEEK, 0.5), "mean": 0.5, "sd": 0.5, "se": 0.01,
        "swing": 1.0, "down": 0.1, "up": 0.1, "a_year": 36500.0, "n": 2800,
    }  # fmt: skip
    return Reference(**{**found, **changes})


def uniform(n: int, days: float) -> Any:
    return np.arange(n) * days * DAY / n


def test_the_wager_on_one_observation_is_as_by_hand() -> None:
    x, base = np.array([1.0, 0.0]), np.array([0.5, 0.5])

    logs = detectors.log_factors(x, base, reference())

    # by hand: top = 0.9 / 0.6 = 1.5, least = min(0.03 / 0.5, 1.5 / 8) = 0.06; excess of 1 over 0.6 is 0.4
    assert logs[0, 0, 0] == pytest.approx(math.log1p(0.06 * 0.4))
    assert logs[0, 0, -1] == pytest.approx(math.log1p(1.5 * 0.4))
    # 0 lies 0.4 below the lower edge of 0.4
    assert logs[1, 1, -1] == pytest.approx(math.log1p(1.5 * 0.4))
    assert logs[1, 0, -1] == pytest.approx(math.log1p(-1.5 * 0.6))


def test_the_sum_is_that_of_shiryaev_and_roberts() -> None:
    rng = np.random.default_rng(1)
    x, at = rng.random(50), uniform(50, 1)
    usual = reference()

    state, hit = detectors.advance(detectors.begin(), usual, x, at, threshold=math.inf)

    # R_n = (1 + R_(n-1)) * factor, the recursion of the textbook
    factors = np.exp(detectors.log_factors(x, np.full(50, 0.5), usual))
    total = np.zeros((2, detectors.BETS))
    for one in factors:
        total = (1 + total) * one
    assert hit is None
    assert np.exp(state.log_sum) == pytest.approx(total)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 199), max_size=6))
def test_it_does_not_matter_how_observations_are_cut_into_windows(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    x, at = rng.random(200), uniform(200, 5)
    usual = reference()

    whole, _ = detectors.advance(detectors.begin(), usual, x, at, threshold=math.inf)
    parts = detectors.begin()
    for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), 200], strict=True):
        parts = State.from_json(parts.as_json())
        parts, _ = detectors.advance(parts, usual, x[first:last], at[first:last], threshold=math.inf)

    assert parts.log_sum == pytest.approx(whole.log_sum, rel=1e-9)
    assert np.array_equal(parts.start, whole.start)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_wager_is_fair_against_every_level_within_tolerance(level: float, spread: float) -> None:
    usual = reference()
    mean = usual.mean - usual.down + level * (usual.up + usual.down)
    # two values with that mean: the mean of every factor must not exceed one
    low, high = mean * (1 - spread), mean + (1 - mean) * spread
    p = (mean - low) / (high - low) if high > low else 0.0
    logs = detectors.log_factors(np.array([low, high]), np.array([0.5, 0.5]), usual)

    expected = (1 - p) * np.exp(logs[0]) + p * np.exp(logs[1])

    assert (expected <= 1 + 1e-9).all()


def test_an_alarm_is_told_at_the_same_observation_however_many_are_taken_in_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(5)
    at = uniform(2000, 60)
    x, usual = (rng.random(2000) < np.where(np.arange(2000) < 900, 0.1, 0.4)).astype(float), reference()
    whole, hit = detectors.advance(detectors.begin(), usual, x, at, threshold=12.0)

    monkeypatch.setattr(detectors, "AT_ONCE", 20)
    parts, same = detectors.advance(detectors.begin(), usual, x, at, threshold=12.0)

    assert hit is not None
    assert hit > 20
    assert same == hit
    assert parts.log_sum == pytest.approx(whole.log_sum, rel=1e-9)


def test_stationary_traffic_is_quiet_and_a_shift_is_told_with_direction_and_beginning() -> None:
    rng = np.random.default_rng(3)
    at = uniform(40 * 60, 60)
    x = (rng.random(at.size) < np.where(at < 45 * DAY, 0.10, 0.25)).astype(float)
    first = int(np.searchsorted(at, 28 * DAY))
    usual = references.learn(x[:first], at[:first], view="share", policy=Policy())
    threshold = references.log_threshold(usual, Policy())

    state, hit = detectors.advance(detectors.begin(), usual, x[first:], at[first:], threshold=threshold)

    assert hit is not None
    alarm = detectors.report(state, usual, x[first : first + hit + 1], at[first : first + hit + 1])
    assert alarm.rise
    assert 45 * DAY - 12 < alarm.began < alarm.at < 50 * DAY
    assert alarm.low <= 0.15 <= alarm.high


def test_the_rank_of_an_amount_is_the_smoothed_share_below_it() -> None:
    among = np.sort(np.log(np.array([1.0, 2.0, 4.0])))

    found = scales.rank(np.array([2.0, 100.0, 0.001, math.inf]), among)

    # by hand: 2 lies above 1 (1), ties with 2 (1/2), lies below 4 (0)
    assert found == pytest.approx([0.5, 1.0, 0.0, 1.0])


def test_a_constant_price_is_told_apart_from_one_a_third_higher() -> None:
    among = np.zeros(100)

    same, dearer = scales.rank(np.array([1.0, 1.34]), among)

    assert (same, dearer) == pytest.approx((0.5, 1.0))


def test_failures_count_as_the_worst_amount() -> None:
    usual = reference(view="rank", amounts=np.log(np.array([1.0, 2.0, 3.0])))

    x = references.scale(np.array([2.0, math.nan]), usual, np.array([0.5, 1.0]))

    # half of the conversation ranks in the middle, half is worst; the other failed altogether
    assert x == pytest.approx([0.75, 1.0], abs=0.05)


def test_the_cycle_of_a_week_is_learnt_from_two_weeks_on() -> None:
    rng = np.random.default_rng(5)
    at = uniform(28 * 400, 28)
    busy = (at % WEEK < 5 * DAY) & (at % DAY >= 9) & (at % DAY < 17)
    x = np.clip(np.where(busy, 0.6, 0.4) + rng.normal(0, 0.1, at.size), 0, 1)

    usual = references.learn(x, at, view="share", policy=Policy())
    short = references.learn(x[:4000], at[:4000], view="share", policy=Policy())

    truth = np.where((np.arange(WEEK) < 120) & (np.arange(WEEK) % 24 >= 9) & (np.arange(WEEK) % 24 < 17), 0.6, 0.4)
    assert np.abs(usual.base - truth).max() < 0.05
    assert np.ptp(short.base) == 0


def test_wilsons_interval_of_the_reference_is_that_of_statsmodels_formula() -> None:
    # a second source: scipy's Wilson interval at z = 1.96 through the same formula
    low, high = stats.binomtest(30, 400).proportion_ci(0.95, method="wilson")
    z, n, mean = stats.norm.ppf(0.975), 400, 30 / 400
    center = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(mean * (1 - mean) / n + (z / n) ** 2 / 4) / (1 + z * z / n)

    assert (center - half, center + half) == pytest.approx((low, high))


def test_fewer_than_thirty_conversations_are_no_reference() -> None:
    with pytest.raises(ValueError, match="at least 30"):
        references.learn(np.ones(29), uniform(29, 7), view="share", policy=Policy())


def test_a_stored_reference_and_state_come_back_the_same() -> None:
    rng = np.random.default_rng(2)
    at = uniform(600, 20)
    usual = references.learn(rng.lognormal(0, 0.5, 600), at, view="size", policy=Policy())
    state, _ = detectors.advance(detectors.begin(), usual, rng.random(20), at[:20], threshold=math.inf)

    again = Reference.from_json(usual.as_json())

    assert np.array_equal(again.amounts, usual.amounts)
    assert (again.up, again.down, again.swing) == (usual.up, usual.down, usual.swing)
    assert np.array_equal(State.from_json(state.as_json()).log_sum, state.log_sum)
    assert State.from_json(detectors.begin().as_json()).log_sum.max() == -math.inf
