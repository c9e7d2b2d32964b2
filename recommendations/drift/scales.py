"""Views of a series on a scale of 0 to 1, and how large a shift nobody would act on. Pure.

A rate, a share or a score is watched as it is. An amount (seconds, dollars, tokens) is watched twice: by *rank* among
the amounts of its reference (the typical conversation) and by *size* (the bill, the slow tail).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
View = Literal["share", "rank", "size"]
SMOOTH = math.log(1.25)  # ranks treat amounts within 25 % of each other as partly tied, so a constant price works
LEAST = 1e-9


@dataclass(frozen=True)
class Policy:
    """How often a project may be alarmed for nothing, and what a shift is.

    Raises:
        ValueError: a number outside its range.
    """

    false_alarms: float = 1.0  # a year, over all series of the project together
    series: int = 8
    points: float = 0.01  # difference of a rate or score that nobody would act on
    part: float = 0.25  # and never more than this part of a rare rate
    least: float = 0.001
    factor: float = 1.05  # the same for amounts
    reference_share: float = 0.1  # share of false_alarms that references off their mark may cause
    horizon: float = 365.0  # days a reference is in use

    def __post_init__(self) -> None:
        wrong = [name for name in ("false_alarms", "series", "points", "horizon") if getattr(self, name) <= 0]
        if not 0 < self.reference_share < 1:
            wrong.append("reference_share")
        if self.factor <= 1:
            wrong.append("factor")
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: out of range")


def logarithms(amounts: ArrayLike) -> Array:
    """Natural logarithms; 0 stands for the smallest amount that is told apart."""
    return np.asarray(np.log(np.maximum(np.asarray(amounts, dtype=np.float64), LEAST)))


def rank(amounts: ArrayLike, among: Array) -> Array:
    """Mean over the sorted logarithms `among` of clip(1/2 + ln(a / r) / (2 ln 1.25), 0, 1): a tie counts one half."""
    total = np.concatenate([[0.0], np.cumsum(among)])

    def area(v: Array) -> Array:  # under the distribution function, up to v
        k = np.searchsorted(among, v)
        return np.asarray(k * v - total[k])

    logs = np.minimum(logarithms(amounts), 1e3)  # an infinite amount ranks above all
    return np.clip((area(logs + SMOOTH) - area(logs - SMOOTH)) / (2 * SMOOTH * among.size), 0.0, 1.0)


def scaled(values: ArrayLike, view: View, amounts: Array) -> Array:
    """Values in [0, 1]; `size` is the amount over twice the 99th percentile, at most 1. Unknown (nan) stays so."""
    if view == "share":
        return np.asarray(values, dtype=np.float64)
    if view == "rank":
        return rank(values, amounts)
    top = 2 * max(math.exp(float(np.quantile(amounts, 0.99))), LEAST)
    return np.minimum(np.asarray(values, dtype=np.float64) / top, 1.0)


def tolerance(mean: float, view: View, amounts: Array, policy: Policy) -> float:
    """The shift on the view's scale that nobody would act on."""
    if view == "share":
        return min(policy.points, max(policy.part * min(mean, 1 - mean), policy.least))
    up, same = (float(scaled(np.exp(amounts) * f, view, amounts).mean()) for f in (policy.factor, 1.0))
    return up - same
