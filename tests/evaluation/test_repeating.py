"""How often each prompt is put to each model: which are drawn, what is judged, and the shares a forecast counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.repeating import EVERY, Baseline, Repeating

DESIGNS = st.builds(Repeating, st.integers(1, 5), st.sampled_from(list(Baseline)), st.integers(0, 99))


@given(DESIGNS)
def test_one_prompt_of_each_five_is_drawn(design: Repeating) -> None:
    for block in range(20):
        assert sum(design.is_drawn(block * EVERY + place) for place in range(EVERY)) == 1


def test_drawn_prompts_do_not_keep_to_one_place_of_the_five() -> None:
    places = {p % EVERY for p in range(500) if Repeating(seed=7).is_drawn(p)}

    assert places == set(range(EVERY))


@given(DESIGNS)
def test_the_shares_of_the_forecast_are_what_is_asked_and_judged(design: Repeating) -> None:
    n = 20 * EVERY

    asked = sum(len(design.of_candidate(p)) for p in range(n))
    called = sum(len(design.of_baseline(p)) for p in range(n))
    judged = sum(len(design.judged_of_baseline(p)) for p in range(n))

    assert asked / n == pytest.approx(design.answers_each)
    assert called / n == pytest.approx(design.baseline_calls_each)
    assert judged / n == pytest.approx(design.baseline_judged_each)
    assert Repeating.from_json(design.to_json()) == design


@pytest.mark.parametrize(
    ("baseline", "repetitions", "called", "judged"),
    [
        # by hand, of five prompts with one drawn: 4 others, then the drawn one
        (Baseline.LOGGED, 1, 0, 5),
        (Baseline.LOGGED, 3, 3, 5 + 3),
        (Baseline.SUBSET, 1, 1, 5),
        (Baseline.BESIDE, 1, 5, 5),
        (Baseline.BESIDE, 3, 4 + 3, 5 + 3),
        (Baseline.REPLAYED, 1, 5, 5),
        (Baseline.REPLAYED, 3, 4 + 3, 4 + 3),
    ],
)
def test_calls_of_the_model_in_production_by_hand(
    baseline: Baseline, repetitions: int, called: int, judged: int
) -> None:
    design = Repeating(repetitions, baseline)

    assert sum(len(design.of_baseline(p)) for p in range(EVERY)) == called
    assert sum(len(design.judged_of_baseline(p)) for p in range(EVERY)) == judged


def test_an_evaluation_from_before_there_were_repetitions_is_read_as_it_ran() -> None:
    assert Repeating.of({"repetitions": 1}, replay_baseline=True).of_baseline(3) == range(1, 2)
    assert not Repeating.of({}, replay_baseline=False).calls_baseline
