"""What a request needs to be taken by another model, and that nothing else is touched."""

from typing import Any

import pytest

from evaluation import adaptation
from evaluation.adaptation import Target, adapt

SAID = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "x"}]


@pytest.mark.parametrize(
    ("model", "logged", "sent", "codes"),
    [
        ("gpt-5-mini", {"max_tokens": 9}, {"max_completion_tokens": 9}, ["token_limit_renamed"]),
        ("@team/o3", {"max_tokens": 9, "max_completion_tokens": 7}, {"max_completion_tokens": 7},
         ["token_limit_renamed"]),
        ("openai/gpt-5", {"temperature": 0.2, "top_p": 1, "logit_bias": {"5": 1}}, {"top_p": 1}, ["sampling_dropped"]),
        ("gpt-5", {"temperature": 1, "presence_penalty": 0}, {"temperature": 1, "presence_penalty": 0}, []),
        ("gpt-5-chat-latest", {"temperature": 0.2}, {"temperature": 0.2}, []),
        ("gpt-4o", {"reasoning_effort": "low", "temperature": 0.2}, {"temperature": 0.2}, ["effort_dropped"]),
        ("claude-3-haiku", {}, {"max_tokens": 4096}, ["token_limit_added"]),
        ("claude-3-haiku", {"max_completion_tokens": 5}, {"max_completion_tokens": 5}, []),
        ("claude-3-haiku", {"max_tokens": 5, "temperature": 1.4}, {"max_tokens": 5, "temperature": 1},
         ["temperature_lowered"]),
        ("claude-sonnet-4-5", {"max_tokens": 5, "temperature": 0.3, "top_p": 0.9},
         {"max_tokens": 5, "temperature": 0.3}, ["top_p_dropped"]),
        ("mistral-large", {"max_tokens": 9, "temperature": 1.4, "seed": 3},
         {"max_tokens": 9, "temperature": 1.4, "seed": 3}, []),
    ],
)  # fmt: skip
def test_only_what_the_model_refuses_is_changed(
    model: str, logged: dict[str, Any], sent: dict[str, Any], codes: list[str]
) -> None:
    adapted = adapt({"messages": SAID, "tools": [{}], **logged}, Target(model))

    assert adapted.body == {"messages": SAID, "tools": [{}], **sent}
    assert list(adapted.codes) == codes


def test_a_limit_above_what_the_model_writes_is_lowered_to_it() -> None:
    # renamed first, then lowered: 9000 tokens are asked of a model that writes 4000
    adapted = adapt({"messages": SAID, "max_tokens": 9000}, Target("gpt-5", 4000))

    assert adapted.body["max_completion_tokens"] == 4000
    assert adapted.codes == ("token_limit_renamed", "token_limit_lowered")


def test_the_body_given_stays_as_it_was_and_a_second_pass_changes_nothing() -> None:
    logged = {"messages": SAID, "max_tokens": 9, "temperature": 0.5}

    once = adapt(logged, Target("gpt-5"))

    assert logged == {"messages": SAID, "max_tokens": 9, "temperature": 0.5}
    assert adapt(once.body, Target("gpt-5")) == adaptation.Adapted(once.body, ())


def test_codes_are_read_back_with_their_version_and_have_a_sentence() -> None:
    codes = tuple(change.code for change in adaptation.CHANGES)

    assert adaptation.read(adaptation.written(codes)) == codes
    assert adaptation.read(adaptation.written(())) == ()
    assert len(adaptation.written(codes)) <= 200
    assert len(set(codes)) == len(codes)
    assert all(adaptation.text_of(code).endswith(".") for code in codes)
    assert adaptation.text_of("of_another_time") == "of_another_time"
