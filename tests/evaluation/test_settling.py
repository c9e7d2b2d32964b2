"""What would settle an outcome, at the prices of the run; and what the leader would save."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from evaluation import changes, findings, settling
from evaluation.judges.panel import Chair
from evaluation.measurements import Cell, Line, Measurements, Table
from evaluation.repeating import Baseline, Repeating
from evaluation.statistics import outcome as outcomes
from evaluation.statistics.decision import Outcome, Policy, decide
from tests.evaluation.statistics.simulated import BAD, GOOD, Model, answers

CHAIRS = (Chair(0, "correctness", "judge-a"), Chair(1, "safety", "judge-b"), Chair(2, "length", ""))
REPEATS = (1, 2, 1)
COVERAGE = {"replayable": 50, "conversations": 12, "calls": 3_000, "days": 30.4375}
ANSWERED = Cell("answered", refused=False, cost_nanousd=500, latency_us=1)


def _measured(*, baseline: Baseline = Baseline.LOGGED, called: Cell | None = None) -> Measurements:
    """Four prompts, of which the leader, column 2, was asked two."""
    lines = [
        Line(place, place, "", (ANSWERED, ANSWERED, ANSWERED if place < 2 else None), called) for place in range(4)
    ]
    return Measurements(3, CHAIRS, REPEATS, {}, {}, Repeating(1, baseline), tuple(lines))


def _arms(**leader: int | None) -> list[dict[str, Any]]:
    """All four answers of the model in production were judged, both of the leader's."""
    own = {"answers": 2, "cost_nanousd": 1_000, "verdicts_nanousd": 6_000}
    return [
        {"answers": 4, "cost_nanousd": 9_999_999, "verdicts_nanousd": 8_000},
        {"answers": 4, "cost_nanousd": 1, "verdicts_nanousd": 1},
        {**own, **leader},
    ]


def _ended(code: str) -> Outcome:
    return Outcome(None, 0.0, 2, outcomes.REASONS[code], 4, 6, 10, code=code)


def _cheapest(code: str, found: Measurements, arms: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    fields = {"arms": arms, "coverage": COVERAGE, "unscored": 0, **more}
    step = settling.cheapest(_ended(code), Policy(), found, **fields)
    assert step is not None
    return dict(step)


def test_more_prompts_take_the_leaders_answers_and_the_verdicts_on_both() -> None:
    found = _cheapest("too_few_conversations", _measured(), _arms())

    # by hand: 30 conversations are needed and there are 12; a prompt takes an answer and, of two answers, one verdict
    # and two: (1,000 + 6,000) / 2 + 8,000 / 4 = 5,500 nano-dollars; what the log cost is not paid again
    least = Policy().least_units
    assert found == {
        "code": "more_conversations",
        "missing": least - 12,
        "cost_usd": pytest.approx((least - 12) * 5_500e-9),
        "model_calls": least - 12,
        "judge_calls": (least - 12) * 2 * 3,
    }


def test_calls_of_the_model_in_production_are_part_of_the_price() -> None:
    called = dataclasses.replace(ANSWERED, cost_nanousd=300)

    found = _cheapest("too_few_conversations", _measured(baseline=Baseline.BESIDE, called=called), _arms())

    assert found["model_calls"] == 2 * found["missing"]
    assert found["cost_usd"] == pytest.approx(found["missing"] * 5_800e-9)


def test_a_price_that_is_not_known_is_none_and_calls_are_told_all_the_same() -> None:
    found = _cheapest("too_few_conversations", _measured(), _arms(cost_nanousd=None))

    assert found["cost_usd"] is None
    assert found["model_calls"] == found["missing"]


def test_another_judge_says_what_one_of_those_there_are_said() -> None:
    found = _cheapest("judges_disagree", _measured(), _arms())

    # by hand: 10 answers were judged, 30 verdicts by two models at 14,001 nano-dollars in all
    assert (found["code"], found["judge_calls"], found["model_calls"]) == ("another_judge", 15, 0)
    assert found["cost_usd"] == pytest.approx(15 / 30 * 14_001e-9, rel=1e-3)


def test_unscored_answers_are_asked_for_again() -> None:
    found = _cheapest("too_many_unscored", _measured(), _arms(), unscored=6)

    assert (found["code"], found["judge_calls"]) == ("mend_judges", 6)


def test_a_log_that_is_too_short_costs_nothing_yet() -> None:
    few = decide(answers(1, [GOOD]), total=20)

    found = settling.cheapest(few, Policy(), _measured(), arms=_arms(), coverage={"replayable": 20}, unscored=0)

    assert found == {"code": "more_logs", "missing": Policy().least_prompts - 20}


def test_of_what_is_worse_it_is_said_on_what() -> None:
    worse = decide(answers(1, [BAD]))

    found = settling.cheapest(worse, Policy(), _measured(), arms=_arms(), coverage=COVERAGE, unscored=0)

    assert found is not None
    assert found["code"] == "nothing"
    assert "quality" in found["worse_on"]
    assert changes.next_step(found, leader="tern").startswith(
        "More prompts would hardly help: tern falls short on quality"
    )
    unclear = changes.next_step({"code": "nothing", "worse_on": []}, leader="tern")
    assert unclear.startswith("No number of further prompts promises to settle it")


def test_prompts_that_would_settle_it_are_counted_against_those_there_are() -> None:
    policy = Policy(judge_sd=0.0, futility=0.0)
    weak = decide(answers(2, [Model(cost=0.4)], n=60), policy, total=60)
    assert weak.code == "evidence_too_weak"

    arms = [_arms()[0], _arms()[2]]
    lines = tuple(Line(place, place, "", (ANSWERED, ANSWERED)) for place in range(weak.prompts))
    found = settling.cheapest(
        weak, policy, Measurements(2, CHAIRS, REPEATS, {}, {}, Repeating(), lines),
        arms=arms, coverage={"replayable": weak.prompts + 10}, unscored=0,
    )  # fmt: skip

    assert found is not None
    assert found["code"] == "more_prompts"
    assert found["missing"] == found["prompts"] - 10
    assert found["chance"] == 0.8
    assert found["judge_calls"] == 6 * found["prompts"]
    said = changes.next_step(found, leader="tern", saving={"saving_usd": 12.0})
    assert said.startswith(f"A new run of {found['prompts']:,} prompts, about $")
    assert f"{found['prompts']:,} calls to models and {6 * found['prompts']:,} calls to judges" in said
    assert said.endswith("are yet to be logged. If it passes, tern saves about $12.00 a month.")


def test_nothing_is_left_to_settle_after_a_recommendation() -> None:
    passed = decide(answers(1, [GOOD]))

    assert passed.recommended is not None
    assert settling.cheapest(passed, Policy(), _measured(), arms=_arms(), coverage=COVERAGE, unscored=0) is None


# ------------------------------------------------------------------------------------------------ money
def test_a_month_saves_the_volume_times_the_mean_difference_of_costs() -> None:
    samples, policy = answers(1, [GOOD]), Policy()
    outcome, n = decide(samples, policy), samples.unit.size
    table = Table(samples, np.full(2, n), ("",) * n)

    found = findings.saving(table, policy, outcome, calls_a_month=findings.calls_a_month(COVERAGE))

    # by hand: 3,000 calls in 30.4375 days, which is a month
    assert samples.cost_usd is not None
    assert found["monthly_calls"] == pytest.approx(3_000)
    assert found["saving_usd"] == pytest.approx(3_000 * (samples.cost_usd[:, 0] - samples.cost_usd[:, 1]).mean())
    assert found["low_usd"] <= found["saving_usd"] <= found["high_usd"]
    assert found["n"] == n


def test_without_prices_or_volume_a_saving_is_not_known() -> None:
    samples, policy = answers(1, [GOOD]), Policy()
    outcome, n = decide(samples, policy), samples.unit.size
    table = Table(samples, np.full(2, n), ("",) * n)
    bare = Table(dataclasses.replace(samples, cost_usd=None), np.full(2, n), ("",) * n)

    assert findings.saving(bare, policy, outcome, calls_a_month=10.0) == {"unknown": "cost_unknown"}
    assert findings.saving(table, policy, outcome, calls_a_month=None) == {"unknown": "volume_unknown"}
    assert findings.calls_a_month({"calls": 10, "days": 0}) is None
