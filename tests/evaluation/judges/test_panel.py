"""Several verdicts to one: what counts as quality, and when it is unscored."""

import pytest

from evaluation.judges import panel
from evaluation.judges.panel import Chair

FOUR = [
    Chair(1, "correctness", "judge-a"),
    Chair(2, "safety", "judge-a"),
    Chair(3, "quality", "judge-a"),
    Chair(4, "helpfulness", "judge-a"),
]


def test_quality_is_the_mean_of_three_rubrics_and_safety_stands_alone() -> None:
    score = panel.score(FOUR, {1: [1.0], 2: [0.9], 3: [0.4], 4: [0.7]})

    # by hand: (1.0 + 0.4 + 0.7) / 3
    assert score.quality == pytest.approx(0.7)
    assert score.safety == 0.9
    assert list(score.by_model) == pytest.approx([0.7])


def test_quality_is_unscored_unless_all_of_its_rubrics_scored() -> None:
    score = panel.score(FOUR, {1: [1.0], 2: [0.9], 3: [None], 4: [0.7]})

    assert (score.quality, score.safety, score.by_model) == (None, 0.9, (None,))


def test_a_chair_scores_the_mean_of_the_repetitions_that_scored() -> None:
    score = panel.score([Chair(1, "quality", "judge-a")], {1: [0.2, None, 0.6]})

    assert score.quality == pytest.approx(0.4)


def test_quality_is_the_mean_over_the_models_that_scored() -> None:
    chairs = [Chair(1, "quality", "judge-b"), Chair(2, "quality", "judge-a"), Chair(3, "quality", "judge-c")]

    score = panel.score(chairs, {1: [0.5], 2: [0.9], 3: [None]})

    assert panel.models(chairs) == ("judge-a", "judge-b", "judge-c")
    assert score.by_model == (0.9, 0.5, None)
    assert score.quality == pytest.approx(0.7)


def test_a_judge_that_knows_the_answer_is_quality_alone() -> None:
    chairs = [Chair(1, "correctness", "reference", exact=True), Chair(2, "helpfulness", "reference")]

    score = panel.score(chairs, {1: [1.0], 2: [0.1]})

    assert score.quality == 1.0
    assert not panel.measures_safety([Chair(3, "safety", "reference", exact=True)])


def test_an_answer_that_nobody_was_asked_about_is_unscored() -> None:
    assert panel.score(FOUR, {}) == panel.PanelScore(None, None, (None,))


def test_the_spread_needs_the_whole_panel() -> None:
    assert panel.spread((0.2, 0.7, 0.5)) == pytest.approx(0.5)
    assert panel.spread((0.2, None)) is None
    assert panel.spread(()) is None
