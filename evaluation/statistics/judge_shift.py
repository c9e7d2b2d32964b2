"""What a change of the judge does to scores: the same answers, scored before and after. The agent has no part in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from evaluation.statistics import agreement, intervals
from evaluation.statistics.agreement import Coefficient
from evaluation.statistics.intervals import Interval

LEAST_ANCHORS = 10
TOLERANCE = 0.025  # the systematic error of a judge that the decision allows for anyhow (policy.JUDGE_SD)


class Shift(StrEnum):
    """What the anchors say of two judges."""

    SAME = "same"  # the whole interval of the mean shift lies within the tolerance
    MOVED = "moved"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class JudgeShift:
    """The new judge against the old one, on anchors that both scored."""

    n: int
    before: float | None  # mean score of the old judge
    after: float | None
    shift: Interval | None  # mean of after − before; None with fewer than two anchors
    equal: Interval | None  # share of anchors with the very same score
    alpha: Coefficient  # Krippendorff, interval scale; in it a shift counts as disagreement
    verdict: Shift


def compare(before: Sequence[float | None], after: Sequence[float | None]) -> JudgeShift:
    """Compare two scorings of the same anchors, in the same order; None: unscored.

    Raises:
        ValueError: if the lengths differ.
    """
    both = [(a, b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    old, new = np.array([a for a, _ in both], float), np.array([b for _, b in both], float)
    shift = intervals.mean(new - old, np.arange(len(both)))
    return JudgeShift(
        n=len(both),
        before=math.fsum(old) / len(both) if both else None,
        after=math.fsum(new) / len(both) if both else None,
        shift=shift,
        equal=agreement.share(int((np.abs(new - old) < 1e-9).sum()), len(both)),
        alpha=agreement.alpha(both, scale="interval"),
        verdict=_verdict(shift, len(both)),
    )


def _verdict(shift: Interval | None, n: int) -> Shift:
    if shift is None or n < LEAST_ANCHORS:
        return Shift.UNKNOWN
    if max(abs(shift.low), abs(shift.high)) <= TOLERANCE:
        return Shift.SAME
    return Shift.MOVED if shift.low > 0 or shift.high < 0 else Shift.UNKNOWN
