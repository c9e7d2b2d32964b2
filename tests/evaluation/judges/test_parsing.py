"""What a judge wrote becomes a score only when it is exactly what was asked for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentopt.lib import judge_form
from evaluation.judges import parsing
from evaluation.judges.base import Scale, Unscored, Verdict

SCALE = Scale(1, 10)


def read(text: str, *, finish_reason: str = "stop", refusal: str | None = None) -> Verdict:
    return parsing.read(text, scale=SCALE, finish_reason=finish_reason, refusal=refusal)


@pytest.mark.parametrize(("score", "share"), [(1, 0.0), (10, 1.0), (5.5, 0.5), (4, 1 / 3)])
def test_a_score_is_its_share_of_the_scale(score: float, share: float) -> None:
    verdict = read(judge_form.reply(score=score, explanation="clear"))

    # by hand: (4 − 1) / (10 − 1) = 1/3
    assert verdict.score == pytest.approx(share)
    assert (verdict.reason, verdict.explanation) == ("", "clear")


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```", "  {}\n\n", "```json\r\n{}\r\n```"])
def test_a_fence_and_white_space_around_the_object_are_tolerated(fence: str) -> None:
    assert read(fence.replace("{}", judge_form.reply(score=10, explanation="x"))).score == 1.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Unscored.EMPTY),
        (" \n\t ", Unscored.EMPTY),
        ("I would give this a solid eight out of ten.", Unscored.PROSE),
        ('Here you are: {"explanation": "x", "score": 8}', Unscored.PROSE),
        ("I'm sorry, but I can't help with that.", Unscored.REFUSED),
        ('"8"', Unscored.PROSE),
        ("8", Unscored.NOT_JSON),
        ("null", Unscored.NOT_JSON),
        ("[8]", Unscored.NOT_JSON),
        ("{}", Unscored.NOT_JSON),
        ('{"score": 8}', Unscored.NOT_JSON),
        ('{"explanation": "x", "score": 8, "final": true}', Unscored.NOT_JSON),
        ('{"explanation": "x", "score": "8"}', Unscored.NOT_JSON),
        ('{"explanation": "x", "score": true}', Unscored.NOT_JSON),
        ('{"explanation": "x", "score": null}', Unscored.NOT_JSON),
        ('{"explanation": 8, "score": 8}', Unscored.NOT_JSON),
        ('{"explanation": "x", "score": NaN}', Unscored.NOT_JSON),
        ('{"explanation": "x", "score": 2, "score": 10}', Unscored.NOT_JSON),
        ('{"explanation": "x", "score": 8} {"explanation": "y", "score": 9}', Unscored.NOT_JSON),
        ('{"explanation": "x", "score": 8', Unscored.NOT_JSON),
        ('{"explanation": "x", "score": 0}', Unscored.OUT_OF_RANGE),
        ('{"explanation": "x", "score": 10.01}', Unscored.OUT_OF_RANGE),
        ('{"explanation": "x", "score": 1e999}', Unscored.OUT_OF_RANGE),
        ('{"explanation": "x", "score": ' + "9" * 400 + "}", Unscored.OUT_OF_RANGE),
        ("[" * 100_000, Unscored.NOT_JSON),
    ],
)
def test_anything_else_is_unscored_and_says_why(text: str, reason: Unscored) -> None:
    verdict = read(text)

    assert verdict.score is None
    assert verdict.reason == reason


def test_a_reply_that_was_cut_off_is_called_so() -> None:
    assert read('{"explanation": "It begins', finish_reason="length").reason == Unscored.TRUNCATED
    assert read("", finish_reason="length").reason == Unscored.TRUNCATED


def test_a_whole_object_counts_even_at_the_length_limit() -> None:
    assert read('{"explanation": "x", "score": 10}', finish_reason="length").score == 1.0


def test_a_refusal_told_apart_from_the_text_is_one() -> None:
    assert read("", refusal="I will not judge this.").reason == Unscored.REFUSED
    assert read('{"explanation": "x", "score": 10}', finish_reason="content_filter").reason == Unscored.REFUSED


@given(st.text())
def test_no_text_breaks_the_reading(text: str) -> None:
    verdict = read(text)

    assert (verdict.score is None) == bool(verdict.reason)


@given(st.text(), st.floats(1, 10))
def test_what_the_form_writes_the_parser_reads(explanation: str, score: float) -> None:
    verdict = read(judge_form.reply(score=score, explanation=explanation))

    assert verdict.score == pytest.approx((score - 1) / 9)
    assert verdict.explanation == json.loads(json.dumps(explanation))[:4000]
