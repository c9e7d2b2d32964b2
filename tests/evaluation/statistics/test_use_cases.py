"""Findings per use case."""

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics import use_cases


def _two_use_cases() -> tuple[np.ndarray, np.ndarray]:
    return np.array([0.1, -0.1] * 8 + [-0.5, -0.7] * 8), np.repeat(["faq", "refunds"], 16)


def test_means_are_shrunk_as_by_hand() -> None:
    # by hand: within = 32 × 0.01 / 30 = 1/93.75, per mean 1/1500; means 0 and −0.6, overall −0.3
    # Q = 1500 × 2 × 0.09 = 270; τ² = (270 − 1) / (3000 − 1500) = 0.17933; trust = τ² / (τ² + 1/1500) = 0.996296
    diff, use_case = _two_use_cases()

    faq, refunds = use_cases.findings(diff, use_case, margin=0.05)

    assert (faq.raw, refunds.raw) == pytest.approx((0.0, -0.6))
    assert (faq.shrunk, refunds.shrunk) == pytest.approx((-0.3 * (1 - 0.996296), -0.3 - 0.3 * 0.996296), abs=1e-6)
    assert (faq.worse, refunds.worse) == (False, True)
    error = (0.996296 / 1500 + (1 - 0.996296) ** 2 / 3000) ** 0.5
    assert refunds.error == pytest.approx(error, abs=1e-6)
    assert faq.chance_worse == pytest.approx(stats.norm.cdf((-0.05 - faq.shrunk) / faq.error))


def test_use_cases_that_do_not_differ_share_one_mean() -> None:
    rng = np.random.default_rng(1)
    diff = np.tile(rng.normal(0, 0.3, 10), 4)

    found = use_cases.findings(diff, np.repeat(list("abcd"), 10), margin=0.05)

    assert [x.shrunk for x in found] == pytest.approx([float(diff.mean())] * 4)


def test_few_prompts_or_a_single_use_case_find_nothing() -> None:
    assert use_cases.findings(np.zeros(20), np.repeat(["a", "b"], [16, 4]), margin=0.05) == ()
    assert use_cases.findings(np.zeros(0), np.zeros(0, str), margin=0.05) == ()


def test_unscored_prompts_are_left_out() -> None:
    diff, use_case = _two_use_cases()
    with_nan = np.concatenate([diff, [np.nan] * 5])

    found = use_cases.findings(with_nan, np.concatenate([use_case, ["refunds"] * 5]), margin=0.05)

    assert found == use_cases.findings(diff, use_case, margin=0.05)


def test_differences_without_spread_are_known_exactly() -> None:
    found = use_cases.findings(np.repeat([0.0, -0.5], 10), np.repeat(["a", "b"], 10), margin=0.05)

    assert [x.worse for x in found] == [False, True]
    assert [x.chance_worse for x in found] == pytest.approx([0.0, 1.0])


def test_holm_flags_few_of_many_equal_use_cases() -> None:
    rng = np.random.default_rng(7)
    runs = [use_cases.findings(rng.normal(-0.05, 0.4, 200), np.arange(200) % 10, margin=0.05) for _ in range(200)]

    flagged = np.mean([any(x.worse for x in run) for run in runs])

    assert flagged <= 0.1 + 3 * (0.09 / 200) ** 0.5


def test_unequal_shapes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^diff"):
        use_cases.findings(np.zeros(3), np.zeros(2), margin=0.05)
