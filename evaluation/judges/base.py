"""What a judge is given and what it gives back. A judge that failed leaves an answer unscored, never at zero."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Unscored(StrEnum):
    """Why there is no score."""

    EMPTY = "empty"  # the judge wrote nothing
    TRUNCATED = "truncated"  # cut off before its object was complete
    REFUSED = "refused"  # the judge, or the filter before it, declined
    PROSE = "prose"  # text instead of, or around, the object
    NOT_JSON = "not_json"  # an object that is broken, or not of the agreed form
    OUT_OF_RANGE = "out_of_range"  # a score off the scale
    UNAVAILABLE = "judge_unavailable"  # the call itself failed; asked again on the next run


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


@dataclass(frozen=True)
class Case:
    """One answer to one conversation, as text: (role, text) of each message. It never says which model answered."""

    messages: tuple[tuple[str, str], ...]
    answer: str
    reference: str | None = None


class Judge(Protocol):
    """Anything that scores an answer: a rule, or a model that was asked."""

    def __call__(self, case: Case) -> Verdict: ...
