"""What earlier runs teach the next forecast."""

import math
import random

import pytest

from evaluation import learning
from evaluation.learning import Interval


def test_what_was_seen_is_shrunk_by_twenty_usual_answers() -> None:
    # by hand: (60 · 300 + 20 · 100) / 80
    assert learning.shrunk(300, 60, usual=100) == 250
    assert learning.shrunk(None, 60, usual=100) == 100
    assert learning.shrunk(300, 0, usual=100) == 100
    assert learning.shrunk(300, 5, usual=None) == 300


def test_the_spread_is_the_usual_one_until_runs_tell_another() -> None:
    # by hand: √((3 · 0.36 + ln² 2 + ln² ½) / 5) = √((1.08 + 0.9609) / 5)
    assert learning.spread([]) == pytest.approx(0.6)
    assert learning.spread([2.0, 0.5]) == pytest.approx(0.6389, abs=1e-4)
    assert learning.spread([1.0] * 97) == pytest.approx(0.1039, abs=1e-4)


def test_what_runs_cost_moves_what_is_expected_as_three_runs_that_were_right_allow() -> None:
    # by hand: exp(2 · ln ½ / 5) = 2^-0.4; spread √((3 · (0.36 + c²) + 2 · (ln ½ − c)²) / 5) with c = −0.4 · ln 2
    assert learning.correction([]) == 1
    assert learning.correction([0.5, 0.5]) == pytest.approx(0.7579, abs=1e-4)
    assert learning.correction([2.0, 0.5]) == pytest.approx(1)
    assert learning.spread([0.5, 0.5]) == pytest.approx(0.5756, abs=1e-4)


def test_the_interval_is_a_factor_either_way_within_what_can_happen() -> None:
    # by hand: exp(1.2816 · 0.6) = 2.157
    assert learning.interval(1000, [], least=0, most=10_000) == Interval(464, 2157)
    assert learning.interval(1000, [], least=600, most=1500) == Interval(600, 1500)


@pytest.mark.parametrize(
    ("true_spread", "runs", "true_factor"),
    [(0.6, 0, 1), (0.6, 5, 1), (0.3, 20, 1), (0.9, 20, 1), (0.6, 5, 0.5), (0.6, 20, 0.5)],
)
def test_the_interval_covers_what_it_says_once_runs_are_known(
    true_spread: float, runs: int, true_factor: float
) -> None:
    rng = random.Random(7)  # noqa: S311 — numbers of a test, no secret
    hits, draws = 0, 4000
    for _ in range(draws):
        past = [true_factor * math.exp(rng.gauss(0, true_spread)) for _ in range(runs)]
        actual = 1000 * true_factor * math.exp(rng.gauss(0, true_spread))
        found = learning.interval(round(1000 * learning.correction(past)), past, least=0, most=10**9)
        hits += found.low <= actual <= found.high

    assert 0.75 <= hits / draws <= 0.88
