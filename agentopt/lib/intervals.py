"""Intervals of shares, of values by rank and of correlations, without any heavy library; and the choice of level."""

import functools
import math
from statistics import NormalDist
from typing import NamedTuple

LEVEL = 0.95
_EXACT = 25.0


class Interval(NamedTuple):
    """An estimate with its lower and upper bound."""

    estimate: float
    low: float
    high: float


@functools.cache
def normal_quantile(level: float) -> float:
    """The z of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson(successes: int, n: int, *, z: float) -> Interval:
    """Return the score interval of a proportion (Wilson 1927); it stays in [0, 1] and has width at 0 and n successes.

    Raises:
        ValueError: if n < 1, or successes lies outside [0, n].
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"successes: {successes} of {n} makes no proportion")
    z2 = z**2
    share = successes / n
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2) / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # The bounds at 0 and n are exact in theory; rounding must not take them outside, or past the share.
    low = 0.0 if successes == 0 else max(0.0, center - half)
    high = 1.0 if successes == n else min(1.0, center + half)
    return Interval(share, low, high)


@functools.lru_cache(maxsize=10_000)
def ranks(n: int, share: float, level: float = LEVEL) -> tuple[int, int] | None:
    """Return the ranks, from 1, of the values that bound a quantile of n independent ones (David & Nagaraja 2003, 7.1).

    Where n·share·(1 − share) ≤ 25 they are the narrowest symmetric choice whose binomial coverage is at least the
    level; beyond, those of the normal approximation with a term for skewness, taken outwards: at most two wider.

    Returns:
        None when the values are too few for both bounds: the p95 needs 72 of them at 95 %.
    """
    tail = (1 - level) / 2
    low = _binomial_quantile(n, share, tail)
    high = n + 1 - _binomial_quantile(n, 1 - share, tail)
    return (low, high) if 1 <= low <= high <= n else None


def _binomial_quantile(n: int, share: float, tail: float) -> int:
    """The largest r with P(fewer than r of n) ≤ tail; 0: there is none."""
    variance = n * share * (1 - share)
    if variance > _EXACT:
        z = -normal_quantile(1 - 2 * tail)
        found = n * share + z * math.sqrt(variance) + (1 - 2 * share) * (z * z - 1) / 6
        return max(0, math.floor(found))
    if share <= 0.5:
        return _count_up(n, share, tail)
    return _count_down(n, share, tail)


def _count_up(n: int, share: float, tail: float) -> int:
    """From none on, where few are expected."""
    odds = share / (1 - share)
    chance = (1 - share) ** n
    below, r = chance, 0
    while below <= tail and r < n:
        r += 1
        chance *= odds * (n - r + 1) / r
        below += chance
    return r if below > tail else n


def _count_down(n: int, share: float, tail: float) -> int:
    """From all on, where few are missing: P(fewer than r) = 1 − P(at least r)."""
    odds = (1 - share) / share
    chance = share**n
    at_least, r = chance, n
    while at_least < 1 - tail and r > 0:
        r -= 1
        chance *= odds * (r + 1) / (n - r)
        at_least += chance
    return r


def correlation(r: float, n: int, *, ranked: bool = False, level: float = LEVEL) -> Interval | None:
    """Return the interval of a correlation by Fisher's z (1921), of ranks with variance (1 + r²/2)/(n − 3).

    The latter is Bonett & Wright's (2000). A perfect correlation has no width.

    Returns:
        None with fewer than four pairs.
    """
    if n < 4:
        return None
    if abs(r) >= 1:
        return Interval(r, r, r)
    variance = (1 + r * r / 2 if ranked else 1.0) / (n - 3)
    center, half = math.atanh(r), normal_quantile(level) * math.sqrt(variance)
    return Interval(r, math.tanh(center - half), math.tanh(center + half))
