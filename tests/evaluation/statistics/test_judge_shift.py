"""What a change of the judge does to the scores of the same answers."""

import random

import pytest
from scipy import stats

from evaluation.statistics import judge_shift
from evaluation.statistics.judge_shift import Shift


def test_a_harsher_judge_is_seen_as_a_move_of_the_judge() -> None:
    # by hand: differences −0.1 and −0.3 in turns, mean −0.2, sd with n − 1 of 20: 0.1 · √(20/19)
    before = [0.8] * 20
    after = [0.7 if i % 2 else 0.5 for i in range(20)]

    found = judge_shift.compare(before, after)

    assert found.verdict is Shift.MOVED
    assert found.shift is not None
    assert found.shift.estimate == pytest.approx(-0.2)
    theirs = stats.ttest_rel(after, before).confidence_interval(0.95)
    assert (found.shift.low, found.shift.high) == pytest.approx((theirs.low, theirs.high))
    assert [found.before, found.after] == pytest.approx([0.8, 0.6])


def test_the_same_judge_again_is_the_same() -> None:
    rng = random.Random(1)  # noqa: S311  # a seeded draw of a test
    before = [rng.random() for _ in range(100)]
    after = [min(1.0, x + rng.choice([0.0, 0.0, 0.0, 0.01])) for x in before]

    found = judge_shift.compare(before, after)

    assert found.verdict is Shift.SAME
    assert found.alpha.value == pytest.approx(1.0, abs=0.01)


def test_few_or_noisy_anchors_say_nothing() -> None:
    assert judge_shift.compare([0.5] * 9, [0.9] * 9).verdict is Shift.UNKNOWN
    assert judge_shift.compare([0.5] * 20, [0.0, 1.0] * 10).verdict is Shift.UNKNOWN


def test_unscored_anchors_are_left_out_and_none_at_all_is_not_known() -> None:
    found = judge_shift.compare([0.5, None, 0.5], [0.5, 0.5, None])

    assert (found.n, found.shift, found.verdict) == (1, None, Shift.UNKNOWN)
    assert judge_shift.compare([], []).before is None


def test_lists_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        judge_shift.compare([0.5, 0.5], [0.5])
