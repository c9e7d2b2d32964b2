"""Judges without a model: was the answer a refusal, and did the call end well."""

from collections.abc import Sequence

from ingestion import refusals

FILTERED = ("content_filter", "refusal")  # as finish_reason: whoever runs the model declined in its place


def refused(messages: Sequence[tuple[str, str]], answer: str, *, finish_reason: str = "", refusal: str = "") -> bool:
    """Tell whether an answer declines what was asked: the same rule that reads the logs, so that both arms meet one.

    Args:
        messages: (role, text) of the conversation; the last user message is what was asked.
        answer: the text of the answer; an empty one declines nothing.
        finish_reason: as the gateway says.
        refusal: what the model declined with, where the provider says so apart from the text.
    """
    if refusal or finish_reason in FILTERED:
        return True
    asked = next((text for role, text in reversed(messages) if role == "user"), "")
    return refusals.refused(asked, answer)


def answered(*, failed: bool, was_refused: bool | None) -> float:
    """1 − refused or failed, the guard `answered` of the decision."""
    return 0.0 if failed or was_refused else 1.0
