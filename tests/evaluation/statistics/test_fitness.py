"""The accuracy card and its verdict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.statistics import fitness
from evaluation.statistics.agreement import Coefficient
from evaluation.statistics.fitness import Fitness, Why


def _said(right: int, wrong: int) -> tuple[list[str], list[str]]:
    """Half of each category by people; the judge is wrong equally often in both."""
    people = ["a", "b"] * ((right + wrong) // 2)
    return [p if i < right else {"a": "b", "b": "a"}[p] for i, p in enumerate(people)], people


def test_a_judge_that_agrees_well_beyond_chance_is_fit() -> None:
    judge, people = _said(90, 10)

    card = fitness.card(judge, people)

    assert (card.fitness, card.why, card.to_settle) == (Fitness.FIT, Why.AGREES, None)


def test_a_judge_near_chance_is_unfit_and_its_card_says_so() -> None:
    judge, people = _said(52, 48)

    card = fitness.card(judge, people)

    assert (card.fitness, card.why) == (Fitness.UNFIT, Why.NEAR_CHANCE)
    assert card.text.startswith("near chance")


def test_a_judge_better_than_chance_and_still_too_weak_is_unfit() -> None:
    # kappa 0.2, standard error about 0.05
    judge, people = _said(240, 160)

    card = fitness.card(judge, people)

    assert (card.fitness, card.why) == (Fitness.UNFIT, Why.WEAK)


@pytest.mark.parametrize(
    ("said", "why"),
    [(_said(20, 0), Why.TOO_FEW), (_said(28, 12), Why.BETWEEN), ((["a"] * 40, ["a"] * 40), Why.ONE_CATEGORY)],
)
def test_what_is_not_known_says_why(said: tuple[list[str], list[str]], why: Why) -> None:
    card = fitness.card(*said)

    assert (card.fitness, card.why) == (Fitness.UNKNOWN, why)


def test_the_labels_that_would_settle_it_follow_from_the_interval() -> None:
    # kappa 0.6 with half-width h at 50 labels: 50 · (h / 0.2)²
    judge, people = _said(40, 10)

    card = fitness.card(judge, people)

    assert card.kappa.high is not None
    half = card.kappa.high - 0.6
    assert card.to_settle == pytest.approx(50 * (half / 0.2) ** 2, abs=1)


def test_people_who_disagree_call_no_judge_unfit() -> None:
    judge, people = _said(52, 48)
    among = Coefficient(0.2, 0.0, 0.4, n=60)

    card = fitness.card(judge, people, among_people=among)

    assert (card.fitness, card.why) == (Fitness.UNKNOWN, Why.PEOPLE_DISAGREE)


def test_less_than_half_a_step_of_the_peoples_scale_is_no_difference() -> None:
    assert fitness.preference(0.62, 0.5, step=0.25) == fitness.SAME
    assert fitness.preference(0.63, 0.5, step=0.25) == fitness.BETTER
    assert fitness.preference(0.5, 0.75, step=0.25) == fitness.WORSE
    assert fitness.preference(None, 0.5, step=0.25) is None


@given(st.integers(0, 60), st.integers(0, 60))
def test_more_right_never_makes_a_judge_less_fit(right: int, more: int) -> None:
    n, order = 120, [Fitness.UNFIT, Fitness.UNKNOWN, Fitness.FIT]
    people = ["a", "b"] * (n // 2)
    less = [p if i < right else {"a": "b", "b": "a"}[p] for i, p in enumerate(people)]
    best = [p if i < right + more else {"a": "b", "b": "a"}[p] for i, p in enumerate(people)]
    if (right % 2) or (more % 2):
        return  # else the base rates move, too

    assert order.index(fitness.card(less, people).fitness) <= order.index(fitness.card(best, people).fitness)
