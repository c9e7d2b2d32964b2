"""The door of the engine where there is nothing, too little, or nonsense."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from evaluation.statistics.decision import Outcome, Policy, Samples, decide, step
from tests.evaluation.statistics.simulated import BAD, GOOD, answers


def _flat(n: int, k: int, *, value: float = 0.5) -> Samples:
    return Samples({"quality": np.full((n, 1 + k), value)}, np.arange(n))


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        (_flat(0, 2), "too_few_prompts"),
        (_flat(29, 2), "too_few_prompts"),
        (_flat(100, 0), "no_candidate"),
        (_flat(100, 1), "no_candidate_likely"),
        (_flat(100, 3), "no_candidate_likely"),
        (_flat(100, 1, value=np.nan), "too_many_unscored"),
        (_flat(100, 3, value=np.nan), "too_many_unscored"),
        (dataclasses.replace(_flat(100, 1), unit=np.zeros(100)), "no_candidate_likely"),
        (dataclasses.replace(_flat(100, 1), cost_usd=np.tile([1.0, 0.0], (100, 1))), "all_conditions_shown"),
        (dataclasses.replace(_flat(100, 2), cost_usd=np.full((100, 3), np.nan)), "no_candidate_likely"),
        (dataclasses.replace(_flat(100, 2), human=np.full((100, 3), np.nan)), "no_candidate_likely"),
        (dataclasses.replace(_flat(100, 1), scores_by_judge=np.full((100, 2, 0), 0.5)), "no_candidate_likely"),
    ],
)
def test_at_the_edges_there_is_an_outcome_with_a_reason(samples: Samples, code: str) -> None:
    outcome = decide(samples)

    assert outcome.code == code
    assert 0 <= outcome.confidence <= 1
    assert all(look.p is None or 0 <= look.p <= 1 for look in outcome.looks)
    assert len(outcome.findings) == samples.guards["quality"].shape[1] - 1


def test_a_candidate_without_any_score_does_not_disturb_the_others() -> None:
    samples = answers(1, [GOOD, GOOD])
    quality = samples.guards["quality"].copy()
    quality[:, 1] = np.nan

    outcome = decide(dataclasses.replace(samples, guards={**samples.guards, "quality": quality}))

    assert outcome.recommended == 2
    assert outcome.findings[0].state == "dropped_at_ranking"
    assert outcome.findings[0].code == "too_many_unscored"


_ONE = _flat(60, 1)
_TWICE = np.zeros((60, 2))


@pytest.mark.parametrize(
    ("samples", "policy", "named"),
    [
        (Samples({}, np.arange(3)), Policy(), "guards"),
        (dataclasses.replace(_ONE, guards={"quality": np.zeros(60)}), Policy(), "guards"),
        (dataclasses.replace(_ONE, guards={"quality": np.zeros((60, 0))}), Policy(), "guards"),
        (dataclasses.replace(_ONE, guards={"quality": _TWICE, "cost": _TWICE}), Policy(), "guards"),
        (dataclasses.replace(_ONE, guards={"quality": _TWICE + 1.5}), Policy(), "guards"),
        (dataclasses.replace(_ONE, guards={"quality": _TWICE - 0.1}), Policy(), "guards"),
        (dataclasses.replace(_ONE, guards={"quality": _TWICE + np.inf}), Policy(), "guards"),
        (dataclasses.replace(_ONE, unit=np.arange(59)), Policy(), "unit"),
        (dataclasses.replace(_ONE, cost_usd=np.zeros((60, 3))), Policy(), "cost_usd"),
        (dataclasses.replace(_ONE, cost_usd=_TWICE + np.inf), Policy(), "cost_usd"),
        (dataclasses.replace(_ONE, latency_s=_TWICE - 1), Policy(), "latency_s"),
        (dataclasses.replace(_ONE, human=_TWICE + 2), Policy(), "human"),
        (dataclasses.replace(_ONE, levels={"fast": _TWICE + 2}), Policy(), "levels"),
        (dataclasses.replace(_ONE, scores_by_judge=_TWICE), Policy(), "scores_by_judge"),
        (dataclasses.replace(_ONE, scores_by_judge=np.full((60, 2, 2), 1.5)), Policy(), "scores_by_judge"),
        (dataclasses.replace(_ONE, baseline={"cost": np.nan}), Policy(), "baseline"),
        (_ONE, Policy(prior=(0.2, 0.2)), "prior"),
        (_ONE, Policy(threshold=1.0), "threshold"),
        (_ONE, Policy(looks=()), "looks"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(samples: Samples, policy: Policy, named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}"):
        decide(samples, policy)


def test_rows_that_no_look_has_reached_are_not_read() -> None:
    samples = answers(1, [BAD])
    quality = samples.guards["quality"].copy()
    reached = decide(samples).prompts
    quality[reached:] = 99.0

    assert decide(dataclasses.replace(samples, guards={**samples.guards, "quality": quality})).prompts == reached


@pytest.mark.parametrize("measured", [[60], [60, 61], [[60, 60]]])
def test_measured_rows_that_cannot_be_are_refused(measured: Any) -> None:
    with pytest.raises(ValueError, match=r"^measured"):
        step(_ONE, Policy(), measured=measured, total=60)


def test_nothing_is_paid_where_nothing_could_come_of_it() -> None:
    outcome = step(_flat(20, 2), Policy(), measured=[0, 0, 0], total=20)

    assert isinstance(outcome, Outcome)
    assert (outcome.code, outcome.candidate_answers) == ("too_few_prompts", 0)
    assert [f.state for f in outcome.findings] == ["not_reached", "not_reached"]
