"""What a judge is given and what it gives back. A judge that failed leaves an answer unscored, never at zero."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Unscored(StrEnum):
    """Why there is no score."""

    EMPTY = "empty"  # the judge wrote nothing
    TRUNCATED = "truncated"  # cut off before its object was complete
    REFUSED = "refused"  # the judge, or the filter before it, declined
    PROSE = "prose"  # text instead of, or around, the object
    NOT_JSON = "not_json"  # an object that is broken, or not of the agreed form
    OUT_OF_RANGE = "out_of_range"  # a score off the scale
    REJECTED = "rejected"  # the request with a reply form was refused; asked once more without one
    NOT_APPLICABLE = "not_applicable"  # a rule that has nothing to go by in this case
    UNAVAILABLE = "judge_unavailable"  # the call itself failed; asked again on the next run


WITHOUT_REPLY = (Unscored.UNAVAILABLE, Unscored.REJECTED)


@dataclass(frozen=True)
class Scale:
    """The scale that a judge scores on; `share` maps it to [0, 1]."""

    lowest: float
    highest: float

    def holds(self, score: float) -> bool:
        return math.isfinite(score) and self.lowest <= score <= self.highest

    def share(self, score: float) -> float:
        return (score - self.lowest) / (self.highest - self.lowest)


@dataclass(frozen=True)
class Verdict:
    """A score in [0, 1] with its explanation, or None with the reason."""

    score: float | None
    reason: str = ""
    explanation: str = ""


METADATA, LABEL = "metadata", "label"  # who knows what is right: the program that logged the call, or a person


@dataclass(frozen=True)
class Reference:
    """What is known to be right for a prompt; `source` says who knows it. None: that part is not known."""

    source: str
    answer: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] | None = None  # in the form of chat completions; (): none is right

    def beside(self, *answers: str) -> "Reference | None":
        """This reference for judging these answers; None where a person's label made one of them the reference.

        A judge that is shown an answer as right agrees with the person who said so, which would prove nothing.
        """
        own = (self.answer or "").strip()
        return None if self.source == LABEL and any(answer.strip() == own for answer in answers) else self

    @classmethod
    def of(cls, stored: object) -> "Reference | None":
        """Read Sample.reference; None where it holds nothing that a judge could go by."""
        if not isinstance(stored, Mapping):
            return None
        answer, calls = stored.get("answer"), stored.get("tool_calls")
        known = cls(
            str(stored.get("source") or ""),
            answer if isinstance(answer, str) else None,
            tuple(call for call in calls if isinstance(call, Mapping)) if isinstance(calls, list | tuple) else None,
        )
        return known if known.answer is not None or known.tool_calls is not None else None


@dataclass(frozen=True)
class Case:
    """One answer to one conversation, as text: (role, text) of each message. It never says which model answered.

    second: the other answer, where two are compared; `answer` is then the one that stands first.
    """

    messages: tuple[tuple[str, str], ...]
    answer: str
    reference: str | None = None
    second: str | None = None


class Judge(Protocol):
    """Anything that scores an answer: a rule, or a model that was asked."""

    def __call__(self, case: Case) -> Verdict: ...
