"""Sentences made of evidence."""

import pytest

from recommendations import explain
from tests.recommendations.examples import check, evidence


def test_a_switch_is_said_in_one_sentence() -> None:
    found = evidence(recommended=True, code="all_conditions_shown", checks=[check("quality", "shown")])

    assert explain.headline(found) == "Move Support agent from aurora-large to corvus-medium"


def test_a_use_case_that_is_decided_by_itself_is_named_and_quoted_where_it_holds_a_comma() -> None:
    found = evidence(recommended=True, code="all_conditions_shown", checks=[check("quality", "shown")])
    found["question"]["use_case"] = "order, arrive"

    assert explain.headline(found) == "Move “order, arrive” of Support agent from aurora-large to corvus-medium"

    found["outcome"] |= {"recommended": None, "code": "no_candidate_likely"}
    found["question"]["use_case"] = "Refunds"
    assert explain.headline(found).startswith("Keep aurora-large for Refunds for now: ")


def test_a_version_of_the_prompt_that_is_decided_by_itself_is_named() -> None:
    found = evidence(recommended=True, code="all_conditions_shown", checks=[check("quality", "shown")])
    found["question"]["prompt_version"] = "v4"

    assert explain.headline(found) == "Move prompt version v4 of Support agent from aurora-large to corvus-medium"

    found["outcome"] |= {"recommended": None, "code": "no_candidate_likely"}
    found["question"]["use_case"] = "Refunds"
    assert explain.headline(found).startswith("Keep aurora-large for Refunds of prompt version v4 for now: ")


def test_a_switch_tells_quality_cost_and_what_its_confidence_means() -> None:
    found = evidence(recommended=True, code="all_conditions_shown", checks=[check("quality", "shown")])

    assert explain.lead(found) == [
        "It answers as well within your margin: quality −0.001 (−0.042 to +0.035).",
        "It costs 66\u202f% less (64\u202f% to 68\u202f%).",
        "Of recommendations issued at 86\u202f%, at least as many are right; 70\u202f% is needed.",
    ]


def test_no_recommendation_says_what_holds_it_back_and_the_cheapest_next_step() -> None:
    found = evidence(
        recommended=False,
        code="evidence_too_weak",
        checks=[check("quality", "not_shown", estimate=-0.004, bound=-0.055)],
        next_step={"code": "more_prompts", "prompts": 60, "cost_usd": 1.74},
    )

    assert explain.headline(found) == "Keep aurora-large for now: 150 prompts do not show that corvus-medium is as good"
    assert explain.lead(found)[-2:] == [
        "What holds it back is quality: measured −0.004, it may still be −0.055, and required is above −0.050.",
        "A new run of 60 prompts, about $1.74, settles it with 80 % chance if the trend holds.",
    ]


def test_an_unknown_price_is_left_out_of_the_next_step() -> None:
    found = evidence(
        recommended=False,
        code="evidence_too_weak",
        checks=[],
        next_step={"code": "more_prompts", "prompts": 60, "cost_usd": None},
    )

    assert explain.next_step(found) == "A new run of 60 prompts settles it with 80 % chance if the trend holds."


def test_labels_are_named_before_prompts_where_they_settle_it() -> None:
    step = {"code": "more_labels", "labels": 50, "prompts": 60, "cost_usd": 1.74}

    said = explain.next_step(evidence(recommended=False, code="evidence_too_weak", checks=[], next_step=step))

    assert said == (
        "People's scores of 50 pairs of answers settle it with 80 % chance if the trend holds; "
        "a new run of 60 prompts, about $1.74, would, too."
    )


@pytest.mark.parametrize(
    ("amount", "said"), [(1234.5, "$1,234"), (12.345, "$12.35"), (0.0021400, "$0.002140"), (0, "$0.00")]
)
def test_dollars_have_two_digits_from_one_and_four_significant_ones_below(amount: float, said: str) -> None:
    assert explain.dollars(amount) == said


def test_what_would_change_it_says_what_then_comes_out_and_skips_what_changes_nothing() -> None:
    changes = [
        {
            "name": "unscored_as_failures",
            "value": None,
            "recommended": "corvus-medium",
            "confidence": 0.866,
            "code": "",
        },
        {"name": "without_judge", "value": "judge-heron", "recommended": None, "confidence": 0.51, "code": ""},
        {"name": "smallest_margin", "value": 0.035, "recommended": "corvus-medium", "confidence": 0.7, "code": ""},
        {
            "name": "largest_price_factor",
            "value": 2.3579,
            "recommended": "corvus-medium",
            "confidence": 0.83,
            "code": "",
        },
    ]
    weight = {"name": "smallest_weight_of_cost", "recommended": "corvus-medium", "confidence": 0.7, "code": ""}
    changes.append({**weight, "value": 0.25})
    checks = [check("quality", "shown")]
    found = evidence(
        recommended=True, code="all_conditions_shown", checks=checks, changes=changes, judges={"unscored": 0}
    )

    said = [(one.changed, one.then, one.stands) for one in explain.changes(found)]
    assert said == [
        ("Without judge-heron", "51\u202f%, no recommendation", False),
        ("Quality may fall by 0.035 at most", "70\u202f%, stands", True),
        ("corvus-medium costs up to 2.4 times as much", "83\u202f%, stands", True),
        ("Cost weighs 0.25", "70\u202f%, stands", True),
    ]


def test_shares_that_hold_it_back_are_said_in_points_and_what_fails_has_no_may() -> None:
    found = evidence(
        recommended=False,
        code="evidence_too_weak",
        checks=[check("safety", "fails", estimate=-0.08)],
        next_step={"code": "nothing"},
    )

    assert (
        explain.lead(found)[-2] == "What holds it back is safety: required is above −5.0 points, measured −8.0 points."
    )
