"""Reasons of an outcome."""

import pytest

from evaluation.statistics.outcome import REASONS
from recommendations import engine
from tests.recommendations.examples import check, evidence


def test_a_switch_names_the_checks_that_were_shown() -> None:
    found = evidence(
        recommended=True, code="all_conditions_shown", checks=[check("quality", "shown"), check("gain", "shown")]
    )

    first = engine.reasons(found)[0]

    assert (first.code, first.text) == (
        "all_conditions_shown",
        "All 2 checks are shown for corvus-medium after 150 prompts.",
    )


def test_no_recommendation_names_every_check_that_is_not_shown() -> None:
    checks = [check("quality", "not_shown"), check("safety", "shown"), check("answered", "fails", estimate=-0.2)]

    codes = [
        reason.code for reason in engine.reasons(evidence(recommended=False, code="evidence_too_weak", checks=checks))
    ]

    assert codes == ["evidence_too_weak", "quality_not_shown", "answered_fails"]


def test_what_was_left_out_is_said_after_the_reasons() -> None:
    found = evidence(
        recommended=True,
        code="all_conditions_shown",
        checks=[check("quality", "shown")],
        left_out=["safety_not_measured", "cost_unknown"],
    )

    assert [reason.code for reason in engine.reasons(found)][1:] == ["safety_not_measured", "cost_unknown"]


@pytest.mark.parametrize("code", list(REASONS))
def test_every_outcome_of_the_decision_has_its_sentence(code: str) -> None:
    found = evidence(recommended=False, code=code, checks=[])

    assert engine.reasons(found)[0].code == code
