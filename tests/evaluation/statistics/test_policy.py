"""The goal as the engine reads it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.statistics import policy as policies
from evaluation.statistics.policy import Policy


@pytest.mark.parametrize("policy", [Policy(), Policy(prior=(0.2, 0.1), limits=(("quality", 0.8),), looks=(25, 50))])
def test_a_policy_survives_json(policy: Policy) -> None:
    assert Policy.from_json(json.loads(json.dumps(policy.to_json()))) == policy


def test_absent_keys_take_their_defaults() -> None:
    assert Policy.from_json({"seed": 3}) == Policy(seed=3)


def test_a_policy_stored_before_several_had_a_futility_of_their_own_decides_as_it_did() -> None:
    stored = Policy().to_json() | {"futility": 0.1}
    del stored["futility_ranked"]

    assert Policy.from_json(stored).futility_ranked == 0.1


def test_an_unknown_key_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown thresold"):
        Policy.from_json({"thresold": 0.7})


@pytest.mark.parametrize("stored", [{"looks": 5}, {"margins": [["quality"]]}, {"threshold": "high"}])
def test_a_value_of_the_wrong_form_is_refused_by_the_name_of_its_field(stored: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(stored))}:"):
        Policy.from_json(stored)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", 0.0),
        ("threshold", 0.99),
        ("threshold", float("nan")),
        ("prior", 1.0),
        ("prior", (0.2, 0.0)),
        ("margins", (("quality", float("inf")),)),
        ("margins", (("quality", 0.05), ("quality", 0.1))),
        ("limits", (("quality", 2.0),)),
        ("weights", (("cost", -0.1, 0.5),)),
        ("weights", (("cost", 0.1, 0.0),)),
        ("min_gain", float("nan")),
        ("looks", ()),
        ("looks", (30, 20)),
        ("looks", (0, 20)),
        ("rho", 0.0),
        ("finalists", 0),
        ("draws", 0),
        ("futility", 1.5),
        ("judge_sd", -0.1),
        ("seed", -1),
        ("seed", 0.5),
        ("futility_ranked", 1.5),
        ("share", 0.0),
        ("share", 1.1),
        ("unfit", (-1,)),
    ],
)
def test_a_value_without_sense_is_refused_by_the_name_of_its_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}"):
        policies.validate(replace(Policy(), **{field: value}))


def test_the_stated_threshold_gives_its_error_level() -> None:
    # by hand, at prior 0.2: 0.2 × 0.3 / (0.2 × 0.3 + 0.8 × 0.7) = 0.06 / 0.62
    assert policies.level_of(0.7, 0.2) == pytest.approx(0.06 / 0.62)


@given(st.floats(0.001, 0.999), st.floats(0.01, 0.99))
def test_confidence_and_level_are_inverses(p: float, prior: float) -> None:
    assert policies.level_of(policies.confidence_of(p, prior), prior) == pytest.approx(p)


def test_the_odds_of_a_repeated_candidate_halve_three_times_at_most() -> None:
    # by hand: odds 1 / 4, halved once 1 / 8 → 1 / 9, three times 1 / 32 → 1 / 33
    assert policies.prior_after(0.2, 0) == pytest.approx(0.2)
    assert policies.prior_after(0.2, 1) == pytest.approx(1 / 9)
    assert policies.prior_after(0.2, 3) == policies.prior_after(0.2, 9) == pytest.approx(1 / 33)


def test_priors_for_another_number_of_candidates_are_refused() -> None:
    assert policies.priors_of(Policy(prior=0.3), 2) == [0.3, 0.3]
    with pytest.raises(ValueError, match=r"^prior"):
        policies.priors_of(Policy(prior=(0.2, 0.2)), 3)


@pytest.mark.parametrize(
    ("exact", "fit", "families", "sd"),
    [
        ([True], [False], 0, 0.0),
        ([False, False], [True, True], 2, 0.015),
        ([False, True], [True, False], 2, 0.015),
        ([False, False], [True, True], 1, 0.025),  # two judges of one family may share a bias
        ([False, False], [True, False], 2, 0.025),
        ([False], [True], 1, 0.025),
    ],
)
def test_the_error_allowed_for_follows_the_kind_of_judges(
    exact: list[bool], fit: list[bool], families: int, sd: float
) -> None:
    assert policies.judge_sd_of(policies.judge_kind(exact=exact, fit=fit, families=families)) == sd


def test_a_panel_of_nobody_has_no_kind() -> None:
    with pytest.raises(ValueError, match=r"^exact"):
        policies.judge_kind(exact=[], fit=[], families=0)
