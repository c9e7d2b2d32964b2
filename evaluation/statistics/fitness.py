"""A judge's accuracy card: what people and the judge said of the same things, and whether that makes it fit.

The rule, in words for pages, is RULE; docs/algorithms/agreement.md gives its reasons.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from evaluation.statistics import agreement
from evaluation.statistics.agreement import Coefficient, Confusion

LEAST_LABELS = 30
BAR = 0.4  # "moderate" begins above it (Landis & Koch 1977)
RULE = (
    f"From {LEAST_LABELS} labels on: fit where the whole 95 % interval of kappa lies at {BAR} or above, unfit where it "
    f"lies below {BAR}, not known in between. Where people agree with each other no better than {BAR}, no judge is "
    "called unfit by them."
)
BETTER, SAME, WORSE = "better", "same", "worse"
PREFERENCES = (BETTER, SAME, WORSE)


class Fitness(StrEnum):
    """Whether a judge may carry a recommendation: only an unfit one may not."""

    FIT = "fit"
    UNKNOWN = "unknown"
    UNFIT = "unfit"


class Why(StrEnum):
    """What decided it."""

    AGREES = "agrees"
    TOO_FEW = "too_few"
    ONE_CATEGORY = "one_category"
    BETWEEN = "between"
    NEAR_CHANCE = "near_chance"  # the interval of kappa reaches 0: not told apart from guessing
    WEAK = "weak"
    PEOPLE_DISAGREE = "people_disagree"


TEXTS = {
    Why.AGREES: "it agrees with people well beyond chance",
    Why.TOO_FEW: f"fewer than {LEAST_LABELS} labels",
    Why.ONE_CATEGORY: "people and judge said the same of everything, so agreement by chance cannot be told apart",
    Why.BETWEEN: "the interval of kappa holds the bar: more labels would tell",
    Why.NEAR_CHANCE: "near chance: its agreement with people is not told apart from guessing at its base rates",
    Why.WEAK: "it agrees with people better than by chance, and too little",
    Why.PEOPLE_DISAGREE: "people hardly agree with each other on these, so they cannot say who is wrong",
}


@dataclass(frozen=True)
class Card:
    """How far a judge may be trusted. `to_settle`: labels in all after which its verdict is likely known."""

    table: Confusion  # judge by people
    kappa: Coefficient
    people: Coefficient | None
    fitness: Fitness
    why: Why
    to_settle: int | None

    @property
    def n(self) -> int:
        return self.table.n

    @property
    def text(self) -> str:
        return TEXTS[self.why]


def card(
    judge: Sequence[str | None],
    people: Sequence[str | None],
    *,
    among_people: Coefficient | None = None,
    categories: Sequence[str] = (),
) -> Card:
    """Return the card of a judge.

    Args:
        judge: what it said of each thing, in categories; None: unscored.
        people: what people said of the same things, in the same order.
        among_people: how well two people agree on such things, where that was measured.
        categories: in the order in which they are shown.
    """
    table = agreement.confusion(judge, people, categories=categories)
    found = agreement.kappa(table)
    fitness, why = _verdict(found, among_people)
    return Card(table, found, among_people, fitness, why, _to_settle(found) if fitness is Fitness.UNKNOWN else None)


def _verdict(found: Coefficient, people: Coefficient | None) -> tuple[Fitness, Why]:
    if found.n < LEAST_LABELS:
        return Fitness.UNKNOWN, Why.TOO_FEW
    if found.value is None or found.low is None or found.high is None:
        return Fitness.UNKNOWN, Why.ONE_CATEGORY
    if found.low >= BAR:
        return Fitness.FIT, Why.AGREES
    near_chance = found.low <= 0
    if found.high >= BAR:
        return Fitness.UNKNOWN, Why.NEAR_CHANCE if near_chance else Why.BETWEEN
    if people is not None and people.value is not None and people.n >= LEAST_LABELS and people.value <= BAR:
        return Fitness.UNKNOWN, Why.PEOPLE_DISAGREE
    return Fitness.UNFIT, Why.NEAR_CHANCE if near_chance else Why.WEAK


def _to_settle(found: Coefficient) -> int | None:
    """Labels at which the half-width of the interval, which shrinks as 1 / √n, is the distance from the bar.

    None where there is no coefficient, or it lies so close to the bar that no number of labels is worth naming.
    """
    if found.value is None or found.low is None or found.high is None:
        return None
    half, distance = (found.high - found.low) / 2, abs(found.value - BAR)
    if distance < 0.05:
        return None
    return max(LEAST_LABELS, math.ceil(found.n * (half / distance) ** 2))


def preference(candidate: float | None, baseline: float | None, *, step: float) -> str | None:
    """Which of two answers a score puts higher: "better" is the candidate's; None where either is not scored.

    Args:
        step: of the people's scale. Less than half of it is no difference, as they could not have told it.
    """
    if candidate is None or baseline is None:
        return None
    apart = candidate - baseline
    if abs(apart) < step / 2 - 1e-9:
        return SAME
    return BETTER if apart > 0 else WORSE
