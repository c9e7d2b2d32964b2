"""What the judges cannot know about themselves."""

import math

import numpy as np
import pytest

from evaluation.statistics import judge_error
from evaluation.statistics.decision import Policy, Samples
from evaluation.statistics.fixed_point import Array


def _columns(baseline: Array, candidate: Array) -> Array:
    return np.stack([baseline, candidate], axis=1)


def test_without_judges_columns_or_labels_the_prior_stands() -> None:
    found = judge_error.estimate(Policy(), None, human=None, quality=np.zeros((5, 2)))

    assert found == judge_error.Bias(0.0, 0.015)


def test_exact_judges_make_no_error_whatever_the_labels_say() -> None:
    human = _columns(np.zeros(20), np.ones(20))

    found = judge_error.estimate(Policy(judge_sd=0.0), None, human=human, quality=np.zeros((20, 2)))

    assert found == judge_error.Bias(0.0, 0.0)


def test_judges_who_differ_beyond_noise_widen_the_error() -> None:
    # by hand: two judges whose differences are constant, 0.1 and −0.1: no noise, variance of their means 0.02, over two
    scores = np.zeros((10, 2, 2))
    scores[:, 1] = [0.1, 0.0]
    scores[:, 0] = [0.0, 0.1]

    found = judge_error.estimate(Policy(), scores, human=None, quality=scores.mean(2))

    assert found.sd == pytest.approx(math.sqrt(0.015**2 + 0.02 / 2))


def test_ten_labels_correct_the_difference_by_a_shrunken_residual() -> None:
    # by hand: residuals 0.01 and 0.03 alternate: mean 0.02, variance 0.001 / 9, squared error 0.0001 / 9
    # prior = max(0.015², 0.02² − 0.0001 / 9) = 0.000388889; share = prior / (prior + 0.0000111111) = 0.972222
    human = _columns(np.zeros(10), np.array([0.01, 0.03] * 5))

    found = judge_error.estimate(Policy(), None, human=human, quality=np.zeros((10, 2)))

    assert found.mean == pytest.approx(0.972222 * 0.02, abs=1e-7)
    assert found.sd == pytest.approx(math.sqrt(0.972222 * 0.0001 / 9), abs=1e-7)


def test_nine_labels_correct_nothing() -> None:
    human = np.full((30, 2), np.nan)
    human[:9] = [0.0, 1.0]

    found = judge_error.estimate(Policy(), None, human=human, quality=np.zeros((30, 2)))

    assert found == judge_error.Bias(0.0, 0.015)


def _panel_of(scores: Array) -> judge_error.Panel | None:
    quality = scores.mean(2)
    return judge_error.panel(Samples({"quality": quality}, np.arange(len(quality)), scores_by_judge=scores), Policy())


def test_a_panel_that_agrees_is_fit() -> None:
    panel = _panel_of(np.full((5, 2, 2), 0.7))

    assert panel == judge_error.Panel(5, 0.0, 0.0, (), fit=True)


def test_a_panel_that_disagrees_decides_nothing() -> None:
    scores = np.zeros((5, 2, 2))
    scores[:, :, 1] = 0.4

    panel = _panel_of(scores)

    assert panel is not None
    assert not panel.fit
    assert (panel.baseline_spread, panel.candidate_spread) == pytest.approx((0.4, 0.4))


def test_a_judge_alone_against_the_candidate_is_named() -> None:
    scores = np.full((5, 2, 2), 0.5)
    scores[:, 1, 1] = 0.4

    panel = _panel_of(scores)

    assert panel is not None
    assert panel.against == (1,)
    assert not panel.fit


def test_a_panel_that_scored_nothing_together_is_unfit() -> None:
    scores = np.full((4, 2, 2), np.nan)
    scores[:, :, 0] = 0.5

    panel = judge_error.panel(Samples({"quality": scores[:, :, 0]}, np.arange(4), scores_by_judge=scores), Policy())

    assert panel == judge_error.Panel(0, None, None, (), fit=False)


def test_without_scores_by_judge_there_is_no_panel() -> None:
    assert judge_error.panel(Samples({"quality": np.zeros((3, 2))}, np.arange(3)), Policy()) is None
