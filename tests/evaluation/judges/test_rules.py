"""Judges that need no model."""

import json
from typing import Any

import pytest
from hypothesis import example
from hypothesis import given as given_text
from hypothesis import strategies as st

from agentopt.lib.errors import Invalid
from evaluation.judges import rules
from evaluation.judges.base import Reference, Unscored, Verdict
from evaluation.judges.rules import Given, Rule

ASKED = (("system", "You sell lamps."), ("user", "Where is my order?"))


@pytest.mark.parametrize(
    ("answer", "finish_reason", "refusal", "expected"),
    [
        ("It left the warehouse on Monday.", "stop", "", False),
        ("I'm sorry, but I can't assist with that request.", "stop", "", True),
        ("", "tool_calls", "", False),
        ("", "content_filter", "", True),
        ("", "stop", "I will not say.", True),
    ],
)
def test_a_refusal_is_told_by_its_text_or_by_whoever_ran_the_model(
    answer: str, finish_reason: str, refusal: str, expected: bool
) -> None:
    assert rules.refused(ASKED, answer, finish_reason=finish_reason, refusal=refusal) is expected


def test_only_a_call_that_neither_failed_nor_declined_is_answered() -> None:
    assert rules.answered(failed=False, was_refused=False) == 1.0
    assert rules.answered(failed=False, was_refused=None) == 1.0
    assert rules.answered(failed=False, was_refused=True) == 0.0
    assert rules.answered(failed=True, was_refused=None) == 0.0


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def given(answer: str = "", **more: Any) -> Given:
    return Given(asked="", answer=answer, **more)


def said(rule: Rule, found: Given, **settings: Any) -> float | None:
    return rules.score(rule, rules.check(rule, settings), found).score


def test_a_refusal_told_when_the_answer_came_stands() -> None:
    assert said(Rule.REFUSAL, given("Sure.", refused=True)) == 0.0
    assert said(Rule.REFUSAL, given("I'm sorry, but I can't help with that.")) == 0.0
    assert said(Rule.REFUSAL, given("Sure.", finish_reason="content_filter")) == 0.0
    assert said(Rule.REFUSAL, given("Sure.")) == 1.0


SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "pattern": "(a+)+$"}}, "required": ["city"]}


def form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ('{"city": "Rome"}', 1.0), ('{"city": 3}', 0.0), ("{}", 0.0), ("Rome", 0.0),
        ('{"city": "aaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}', 1.0),
    ],
)  # fmt: skip
def test_an_answer_fits_its_schema_or_not_and_no_expression_in_it_is_run(answer: str, score: float) -> None:
    assert said(Rule.SCHEMA, given(answer, response_format=form(SCHEMA))) == score


def test_a_schema_agrees_with_another_validator() -> None:
    import jsonschema_rs

    schema = {
        "type": "array",
        "items": {"anyOf": [{"type": "integer", "minimum": 2}, {"enum": ["x", None]}]},
        "maxItems": 2,
    }
    other = jsonschema_rs.validator_for(schema)
    answers: list[Any] = [[], [1], [2], ["x"], ["y"], [None, 3], [2, 2, 2], {}, "x"]
    for found in answers:
        assert said(Rule.SCHEMA, given(json.dumps(found), response_format=form(schema))) == float(other.is_valid(found))


def test_a_schema_that_points_elsewhere_is_never_fetched() -> None:
    found = rules.score(Rule.SCHEMA, {}, given("{}", response_format=form({"$ref": "http://127.0.0.1:9/x.json"})))

    assert (found.score, found.reason) == (None, Unscored.NOT_APPLICABLE)


def test_without_a_schema_json_mode_asks_for_an_object() -> None:
    assert said(Rule.SCHEMA, given("[1]", response_format={"type": "json_object"})) == 0.0
    assert said(Rule.SCHEMA, given("{}", response_format={"type": "json_object"})) == 1.0
    assert said(Rule.SCHEMA, given("{}")) is None
    assert said(Rule.SCHEMA, given(tool_calls=(call("f"),), response_format={"type": "json_object"})) is None


@pytest.mark.parametrize(
    ("answer", "reference", "exact", "normal"),
    [
        ("Paris", "Paris", 1, 1), (" Paris\n", "Paris", 1, 1), ("paris.", "Paris", 0, 1), ("Päris", "Paris", 0, 1),
        ("-3", "3", 0, 0), ("3.5", "35", 0, 0), ("1,000", "1000", 0, 1), ("5 %", "5 $", 0, 0), ("Lyon", "Paris", 0, 0),
    ],
)  # fmt: skip
def test_a_match_is_letter_by_letter_or_without_what_does_not_matter(
    answer: str, reference: str, exact: float, normal: float
) -> None:
    known = given(answer, reference=Reference("metadata", reference))

    assert said(Rule.EXACT_MATCH, known) == exact
    assert said(Rule.NORMALIZED_MATCH, known) == normal


def test_without_a_reference_a_match_is_unscored_and_not_zero() -> None:
    for rule in rules.EXACT:
        found = rules.score(rule, {}, given("x"))
        assert (found.score, found.reason) == (None, Unscored.NOT_APPLICABLE)


def test_tool_calls_count_by_the_share_that_was_expected() -> None:
    expected = Reference("metadata", None, (call("find", id=1), call("pay", sum=2.0)))

    # by hand: one of two; two of two with one too many; both, reordered
    assert said(Rule.TOOL_CALLS, given(tool_calls=(call("find", id=1),), reference=expected)) == 0.5
    three = (call("find", id=1), call("pay", sum=2), call("pay", sum=2))
    assert said(Rule.TOOL_CALLS, given(tool_calls=three, reference=expected)) == pytest.approx(2 / 3)
    assert said(Rule.TOOL_CALLS, given(tool_calls=(call("pay", sum=2), call("find", id=1)), reference=expected)) == 1.0
    assert said(Rule.TOOL_CALLS, given("Hello.", reference=Reference("metadata", None, ()))) == 1.0


def test_patterns_are_required_by_share_and_forbidden_at_all() -> None:
    two = [{"name": "number", "pattern": r"K-\d{5}"}, {"name": "thanks", "pattern": "(?i)thank you"}]

    assert said(Rule.REQUIRED, given("Order K-12345."), patterns=two) == 0.5
    assert said(Rule.REQUIRED, given("Thank you for K-12345."), patterns=two) == 1.0
    assert said(Rule.FORBIDDEN, given("Order K-12345."), patterns=two) == 0.0
    assert said(Rule.FORBIDDEN, given("Hello."), patterns=two) == 1.0


def test_a_length_lies_between_two_bounds_both_allowed() -> None:
    assert [said(Rule.LENGTH, given("x" * n), least=2, most=3) for n in (1, 2, 3, 4)] == [0.0, 1.0, 1.0, 0.0]
    assert said(Rule.LENGTH, given(tool_calls=(call("f"),)), least=2) is None


@pytest.mark.parametrize(
    ("rule", "settings"),
    [
        (Rule.EXACT_MATCH, {"case": False}), (Rule.REQUIRED, {}), (Rule.FORBIDDEN, {"patterns": []}),
        (Rule.FORBIDDEN, {"patterns": [{"name": "x", "pattern": "(a+)+"}]}), (Rule.LENGTH, {"least": 5, "most": 2}),
        (Rule.LENGTH, {"least": "many"}), (Rule.LENGTH, {"most": True}), (Rule.LENGTH, {"most": float("nan")}),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(rule: Rule, settings: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        rules.check(rule, settings)


def test_only_what_leaves_no_doubt_settles_a_case() -> None:
    assert rules.settled(Rule.EXACT_MATCH, Verdict(1.0)) == ("correctness", 1.0)
    assert rules.settled(Rule.EXACT_MATCH, Verdict(0.0)) is None
    assert rules.settled(Rule.TOOL_CALLS, Verdict(0.5)) is None
    assert rules.settled(Rule.SCHEMA, Verdict(0.0)) == ("quality", 0.0)
    assert rules.settled(Rule.SCHEMA, Verdict(None)) is None
    assert rules.settled(Rule.FORBIDDEN, Verdict(0.0)) is None


@given_text(st.text(max_size=60), st.text(max_size=60))
@example("𝐀", "")
def test_a_match_is_the_same_both_ways_and_holds_for_equal_texts(one: str, other: str) -> None:
    def match(a: str, b: str) -> float | None:
        return said(Rule.NORMALIZED_MATCH, given(a, reference=Reference("metadata", b)))

    assert match(one, one) == 1.0
    assert match(one, other) == match(other, one)
    assert rules.normalized(rules.normalized(one)) == rules.normalized(one)
