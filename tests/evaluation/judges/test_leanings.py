"""How judges bear themselves: scatter, leanings to length and place, disagreement."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.judges import leanings
from evaluation.judges.leanings import Said


def test_scatter_is_pooled_within_answers() -> None:
    said = [Said(0, 1, s, 5, turn=t) for t, s in enumerate((0.2, 0.4))] + [Said(1, 1, 0.9, 5)]
    said += [Said(2, 1, s, 5, turn=t) for t, s in enumerate((0.5, 0.5, None))]

    found = leanings.scatter(said)

    # by hand: squares 0.01 + 0.01 and 0, over one and one degree of freedom
    assert found is not None
    assert found.sd == pytest.approx(math.sqrt(0.02 / 2))
    assert found.answers == 2
    assert leanings.scatter([Said(0, 1, 0.5, 5)]) is None


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=4, max_size=40))
def test_the_rank_correlation_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    import warnings

    from scipy import stats

    first, second = zip(*pairs, strict=True)
    found = leanings.spearman(first, second)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = stats.spearmanr(first, second).statistic

    assert (found is None and math.isnan(other)) or found == pytest.approx(other)


def test_a_judge_that_likes_length_is_seen_and_one_that_does_not_is_not() -> None:
    lengths = [100 + 37 * (i * i % 11) for i in range(30)]
    base = [Said(i, 0, 0.5, 200) for i in range(30)]
    fond = base + [Said(i, 1, min(1.0, n / 500), n) for i, n in enumerate(lengths)]
    fair = base + [Said(i, 1, 0.3 + 0.4 * (i % 2), n) for i, n in enumerate(lengths)]

    found, other = leanings.length_lean(fond), leanings.length_lean(fair)

    assert found is not None
    assert found.interval is not None
    assert found.interval.low > 0.9
    assert other is not None
    assert other.interval is not None
    assert other.interval.low < 0 < other.interval.high
    assert leanings.length_lean(fond[: 30 + 9]) is None  # too few


def test_a_leaning_to_the_first_is_told_apart_from_which_answer_is_better() -> None:
    # the answer is better by 0.2, and whatever stands first gains 0.1
    pairs = [Said(i, 1, 0.8 if first else 0.6, 5, stood_first=first) for i in range(12) for first in (True, False)]

    found = leanings.place_lean(pairs)

    assert found is not None
    assert found.value == pytest.approx(0.1)
    assert found.n == 12
    assert leanings.place_lean(pairs[:10]) is None


def test_the_winner_is_the_same_in_both_orders_or_not() -> None:
    steady = [Said(i, 1, 0.8, 5, stood_first=first) for i in range(3) for first in (True, False)]
    fickle = [Said(9, 1, 0.9 if first else 0.2, 5, stood_first=first) for first in (True, False)]

    order = leanings.bearing(steady + fickle).order

    assert order is not None
    assert order.consistent is not None
    assert order.consistent.estimate == pytest.approx(0.75)
    assert (order.n, order.first, order.second) == (4, 1, 0)


def test_unscored_verdicts_are_counted_by_reason_and_never_as_zero() -> None:
    found = leanings.bearing([Said(0, 1, 0.8, 5), Said(1, 1, None, 5, "prose"), Said(2, 1, None, 5, "prose")])

    assert (found.mean, found.scored, found.unscored) == (0.8, 1, 2)
    assert found.by_reason == {"prose": 2}
    assert found.share_unscored == pytest.approx(2 / 3)
    assert leanings.bearing([]).share_unscored is None


def test_models_are_compared_where_all_of_them_scored() -> None:
    found = leanings.together({(0, 0): (0.2, 0.6), (0, 1): (0.5, 0.5), (1, 1): (0.4, None)})

    assert [arm for arm, _ in found.spreads] == [0, 1]
    assert [round(spread or 0, 9) for _, spread in found.spreads] == [0.4, 0]
    assert found.answers == 2
    assert leanings.together({(0, 0): (0.2,)}).alpha is None
