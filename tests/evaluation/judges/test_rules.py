"""Judges that need no model."""

import pytest

from evaluation.judges import rules

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
