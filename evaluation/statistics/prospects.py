"""Chance that a candidate will pass at a later look, from what has been seen."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from evaluation.statistics.evidence import Evidence
from evaluation.statistics.fixed_point import Array


@dataclass(frozen=True)
class Earlier:
    """Evidence of prompts outside the test, which may inform the forecast but not the verdict."""

    units: int
    distance: Array  # (conditions, k)
    error: Array  # (conditions, k)


def predicted_pass(
    ev: Evidence,
    ahead: float,
    *,
    level: float | Array,
    need: npt.NDArray[np.bool_] | None = None,
    earlier: Earlier | None = None,
) -> Array:
    """Return the chance, shape (k,), that the weakest condition still needed passes a look later on.

    Conditional power with the trend taken as known only as well as the data tell (predictive power, Spiegelhalter,
    Freedman & Blackburn 1986), less what the imagined unit takes off. Rounded to nine decimals.

    Args:
        ev: evidence so far.
        ahead: that look, as a multiple of the units seen now.
        level: its nominal level, a number or shape (k,).
        need: shape (conditions, k), which conditions are not shown yet; absent: all.
        earlier: evidence that informs the trend as well.
    """
    now, end = ev.units, ev.units * max(ahead, 1.0)
    variance = np.maximum(ev.error, 0.5 / now) ** 2 * now  # of one unit
    trend, known = ev.distance, now
    if earlier is not None:
        known = now + earlier.units
        trend = (now * ev.distance + earlier.units * earlier.distance) / known
        before = np.maximum(earlier.error, 0.5 / earlier.units) ** 2
        variance = (now * variance + earlier.units**2 * before) / known
    f = now / end
    final = np.sqrt(variance / end + ev.floor[:, None] ** 2)
    short = f * ev.distance + (1 - f) * trend - ev.doubt / (end + 1) + special.ndtri(level) * final
    if f < 1:
        chance = special.ndtr(short / ((1 - f) * np.sqrt(variance * (1 / known + 1 / (end - now)))))
    else:
        chance = (short >= 0).astype(float)
    weakest = (chance if need is None else np.where(need, chance, 1.0)).min(0)
    return np.asarray(np.round(weakest, 9))
