"""Intervals of proportions, means and quantiles."""

import math

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from agentopt.lib import intervals
from agentopt.lib.intervals import Interval
from evaluation.statistics import fixed_point
from evaluation.statistics.fixed_point import Array

__all__ = ["Interval", "mean", "quantile", "wilson"]


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError("level: must lie between 0 and 1")


def wilson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Return the score interval of a proportion (Wilson 1927); it stays in [0, 1] and has width at 0 and n successes.

    Raises:
        ValueError: if n < 1, or successes lies outside [0, n].
    """
    _check_level(level)
    return intervals.wilson(successes, n, z=float(special.ndtri((1 + level) / 2)))


def mean(x: Array, unit: npt.NDArray[np.generic], *, level: float = 0.95) -> Interval | None:
    """Return a mean with a t interval whose standard error is clustered by unit (Miller 2024, eq. 4, with G / (G − 1)).

    Args:
        x: shape (n,); nan: unknown, left out.
        unit: shape (n,), conversation of each value.
        level: coverage, in (0, 1).

    Returns:
        None with fewer than two units that have a known value: one unit says nothing about how units differ.

    Raises:
        ValueError: if the shapes differ, or a value is infinite.
    """
    _check_level(level)
    if np.ndim(x) != 1 or np.shape(x) != np.shape(unit):
        raise ValueError(f"x: shape {np.shape(x)}, expected that of unit, {np.shape(unit)}")
    if np.isinf(x).any():
        raise ValueError("x: values must be finite")
    known = np.isfinite(x)
    _, at = np.unique(unit[known], return_inverse=True)
    units = int(at.max()) + 1 if at.size else 0
    if units < 2:
        return None
    center = float(fixed_point.mean(x[known]))
    rest = np.asarray(np.bincount(at, x[known] - center), float)
    error = math.sqrt(float(fixed_point.total(rest**2)) * units / (units - 1)) / at.size
    half = float(stats.t.isf((1 - level) / 2, units - 1)) * error
    return Interval(center, center - half, center + half)


def quantile(x: Array, share: float, *, level: float = 0.95) -> Interval | None:
    """Return a quantile with an interval of order statistics, for independent values (David & Nagaraja 2003, 7.1).

    The bounds are the narrowest symmetric choice of ranks whose binomial coverage is at least the level.

    Args:
        x: shape (n,); nan: unknown, left out.
        share: in (0, 1); 0.95 for the p95.
        level: coverage, in (0, 1).

    Returns:
        None when the values are too few for both bounds: the p95 needs 72 of them at 95 %.
    """
    _check_level(level)
    if not 0 < share < 1:
        raise ValueError("share: must lie between 0 and 1")
    known = np.sort(x[np.isfinite(x)])
    n = known.size
    tail = (1 - level) / 2
    # low rank r: P(at most r − 1 of n lie below the quantile) ≤ tail; high rank s: P(at least s lie below) ≤ tail
    below = stats.binom.cdf(np.arange(n + 1), n, share)
    low = int(np.searchsorted(below, tail, side="right")) - 1
    high = int(np.searchsorted(below, 1 - tail, side="left"))
    if n == 0 or low < 0 or high > n - 1:
        return None
    return Interval(float(np.quantile(known, share)), float(known[low]), float(known[high]))
