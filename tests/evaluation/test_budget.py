"""What a run will take, and its hard cap."""

from dataclasses import replace

import pytest

from evaluation import budget
from evaluation.budget import Budget, Calls, Design, Room
from evaluation.repeating import Baseline, Repeating
from evaluation.values import Forecast, Offer, Panelist
from tests.evaluation.test_selection import PROFILE, _offer

DESIGN = Design(limit=300, error_level=0.0968)
JUDGE = Panelist(
    model="judge", rubric="quality", repeats=1, exact=False, family="", prompt_tokens=800, offer=_offer("judge")
)


def _forecast(*candidates: Offer, **changes: object) -> Forecast:
    arguments: dict[str, object] = {
        "baseline": _offer("now"), "panel": [JUDGE], "cap_nanousd": 25 * 10**9, "repeating": Repeating(),
        "room": Room(10), "seconds_per_call": 2.0, "profile": PROFILE, "design": DESIGN,
    }  # fmt: skip
    given = {**arguments, **changes}
    return budget.forecast(given.pop("design"), given.pop("profile"), candidates, **given)  # type: ignore[arg-type]


def test_expected_answers_go_through_both_measured_points() -> None:
    # measured: 76 answers a candidate at a limit of 300, 39 at 100
    assert budget.expected_calls(DESIGN, candidates=1) == Calls(answers=76, prompts=76)
    assert budget.expected_calls(replace(DESIGN, limit=100), candidates=1).answers == 39


def test_at_most_counts_ranking_for_all_and_the_rest_for_the_finalists() -> None:
    # by hand: 8 · 20 + 3 · 280
    assert budget.most_calls(DESIGN, candidates=8) == Calls(answers=1000, prompts=300)
    assert budget.most_calls(DESIGN, candidates=1) == Calls(answers=300, prompts=300)


@pytest.mark.parametrize("limit", [0, 1, 10, 30, 45, 300, 5_000])
@pytest.mark.parametrize("candidates", [0, 1, 2, 3, 8, 30])
def test_least_expected_and_most_never_cross(limit: int, candidates: int) -> None:
    design = replace(DESIGN, limit=limit)

    least, expected, most = (
        count(design, candidates=candidates) for count in (budget.least_calls, budget.expected_calls, budget.most_calls)
    )

    assert 0 <= least.answers <= expected.answers <= most.answers
    assert 0 <= least.prompts <= expected.prompts <= most.prompts <= limit


def test_the_forecast_names_calls_dollars_and_who_gets_prompts() -> None:
    found = _forecast(_offer("a"), repeating=Repeating(baseline=Baseline.BESIDE))

    # by hand: a call costs $0.0018; judging an answer 2,000 · $1/M + 200 · $4/M = $0.0028
    assert found.replay_calls_expected == 76 + 76
    assert found.judge_calls_at_most == 600
    assert found.cost_expected_nanousd == 152 * 1_800_000 + 152 * 2_800_000
    assert found.cost_high_nanousd == 600 * 1_800_000 + 600 * 2_800_000
    assert found.tokens_expected == 152 * 1_200 + 152 * 2_200
    assert (found.replay_tokens_expected, found.judge_tokens_expected) == (152 * 1_200, 152 * 2_200)
    assert found.providers == ("acme",)
    assert found.minutes_expected == pytest.approx(304 * 2 / 10 / 60, abs=0.05)
    assert found.unknown == ()


def test_who_compares_two_answers_reads_both() -> None:
    found = _forecast(_offer("a"), panel=[replace(JUDGE, compares=True)])

    # by hand: 30 prompts in both orders; rubric 800, prompt 1,000, two answers of 200, a reply of 200
    assert found.judge_tokens_expected == 60 * 2_400


def test_a_provider_with_less_room_takes_longer() -> None:
    # by hand: 76 answers, and 152 verdicts on them and on the logged ones, 2 s each
    narrow = Room(10, {"acme": 2})

    assert _forecast(_offer("a")).minutes_expected == pytest.approx(228 * 2 / 10 / 60, abs=0.05)
    assert _forecast(_offer("a"), room=narrow).minutes_expected == pytest.approx(228 * 2 / 2 / 60, abs=0.05)
    # answers of another provider come meanwhile
    mixed = _forecast(_offer("a", provider="other"), room=narrow).minutes_expected
    assert mixed == pytest.approx(152 * 2 / 2 / 60, abs=0.05)


def test_an_unknown_price_leaves_the_dollars_unknown_and_names_the_model() -> None:
    found = _forecast(_offer("a"), _offer("b", input_nanousd=None))

    assert found.cost_expected_nanousd is None
    assert found.cost_high_nanousd is None
    assert [reason.to_json() for reason in found.unknown] == [
        {"code": "price_unknown", "text": "No price is known for b; add one to the catalogue.", "models": ["b"]}
    ]


def test_traffic_without_token_counts_leaves_tokens_and_dollars_unknown() -> None:
    found = _forecast(_offer("a"), profile=replace(PROFILE, mean_input_tokens=None))

    assert found.tokens_expected is None
    assert (found.replay_tokens_expected, found.judge_tokens_expected) == (None, None)
    assert [reason.code for reason in found.unknown] == ["lengths_unknown"]


def test_a_cap_below_the_expected_cost_is_said_beforehand() -> None:
    assert [note.code for note in _forecast(_offer("a"), cap_nanousd=1).notes][-1] == "cap_below_expected"
    assert [note.code for note in _forecast(_offer("a"), cap_nanousd=10**9).notes][-1] == "cap_below_most"


def test_the_detectable_difference_is_that_of_the_formula() -> None:
    # by hand: z(1 - 0.0968) = 1.300, z(0.8) = 0.842; (1.300 + 0.842) · 0.25 / √300 = 0.0309
    graded = budget.detectable_difference(DESIGN, candidates=1, exact=False)

    assert graded == pytest.approx(0.0309, abs=2e-4)
    assert budget.detectable_difference(DESIGN, candidates=1, exact=True) == pytest.approx(
        0.0309 * 0.45 / 0.25, abs=4e-4
    )
    assert budget.detectable_difference(DESIGN, candidates=0, exact=False) is None


def test_no_candidate_costs_nothing() -> None:
    found = _forecast()

    assert (found.replay_calls_at_most, found.judge_calls_at_most, found.cost_high_nanousd) == (0, 0, 0)


def test_the_error_level_of_the_usual_threshold() -> None:
    assert budget.error_level(0.7, 0.2) == pytest.approx(0.0968, abs=5e-5)


def test_the_cap_counts_what_is_in_flight() -> None:
    left = Budget(cap_nanousd=100, spent_nanousd=60)

    assert left.allows(40)
    assert not left.allows(41)
    assert left.allows(20, 20)
    assert not left.allows(21, 20)


def test_spending_through_the_cap_is_bounded_by_the_calls_in_flight() -> None:
    # 8 calls at a time, each estimated at 10 and costing 13: at most 8 · 3 above the cap
    spent, in_flight, cap = 0, 0, 500
    while Budget(cap, spent).allows(10, in_flight * 10):
        in_flight += 1
        if in_flight == 8:
            spent, in_flight = spent + 8 * 13, 0
    spent += in_flight * 13

    assert cap - 10 < spent <= cap + 8 * 3
