"""Figures out of counted values, sums and ranks: quantiles, histograms, correlations, shares of a draw.

Whole numbers until the last step; floats are formed there, in a fixed order, so equal calls give equal bytes.
"""

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentopt.lib import intervals

MOST_BINS = 60
"""As many as are chosen unless told; more show noise."""


# ------------------------------------------------------------------------------------------------ quantiles
@dataclass(frozen=True)
class Counted:
    """Different values in order, and how many calls up to each have it or less."""

    values: Sequence[int]
    up_to: Sequence[int]

    @classmethod
    def of(cls, counts: Mapping[int, int]) -> "Counted":
        """Values with how often each stands."""
        values = sorted(counts)
        return cls(values, list(itertools.accumulate(counts[value] for value in values)))

    @property
    def n(self) -> int:
        """How many calls."""
        return self.up_to[-1] if self.up_to else 0

    def at(self, rank: int) -> int:
        """The value of a rank, from 1."""
        return self.values[bisect.bisect_left(self.up_to, rank)]

    def quantile(self, q: float) -> int:
        """The smallest value that at least this share does not exceed (nearest rank; "inverted_cdf" in numpy)."""
        # q has three decimals; in whole numbers, as n·q in floats may lie above the whole number it is
        return self.at(max(1, -(-self.n * round(q * 1000) // 1000)))

    def bounds(self, q: float) -> tuple[int, int] | None:
        """Values that hold the quantile between them with 95 %; None: too few calls for both."""
        found = intervals.ranks(self.n, q)
        return None if found is None else (self.at(found[0]), self.at(found[1]))


# ------------------------------------------------------------------------------------------------ histograms
@dataclass(frozen=True)
class Histogram:
    """Whole-number edges, one more than bins, and the calls in each bin [edge, next edge)."""

    scale: str  # "linear" | "log"
    edges: tuple[int, ...]
    counts: tuple[int, ...]


def histogram(found: Counted, *, bins: int | None, scale: str) -> Histogram:
    """Count values in bins of equal width, or of equal ratio.

    Without `bins` the width is that of Freedman & Diaconis (1981), 2·IQR/∛n, of the values or of their logarithms, with
    at most MOST_BINS. "auto" is log where linear bins of that width would be more than MOST_BINS: a heavy tail. Zeros
    have a bin of their own on a log scale; where some value is below zero the scale is linear.
    """
    if not found.n:
        return Histogram("linear" if scale == "auto" else scale, (), ())
    low, high = found.values[0], found.values[-1] + 1
    middle = (found.quantile(0.25), found.quantile(0.75))
    if scale == "auto":
        scale = "log" if _bins(high - low, middle[1] - middle[0], found.n) > MOST_BINS else "linear"
    if scale == "log" and bins != 1 and low >= 0 and found.values[-1] > 0:
        edges = _log_edges(found, middle, bins)
    else:
        scale = "linear"
        number = bins or min(MOST_BINS, _bins(high - low, middle[1] - middle[0], found.n))
        width = max(1, -(-(high - low) // number))
        edges = tuple(range(low, high + width, width))
    below = [0, *found.up_to]
    cuts = [below[bisect.bisect_left(found.values, edge)] for edge in edges]
    return Histogram(scale, edges, tuple(b - a for a, b in itertools.pairwise(cuts)))


def _bins(span: float, spread: float, n: int) -> int:
    """How many of Freedman and Diaconis' width cover the span; without a spread in the middle, Sturges' number."""
    if spread <= 0:
        return min(math.ceil(span), 1 + math.ceil(math.log2(n)))
    return max(1, math.ceil(span * math.pow(n, 1 / 3) / (2 * spread)))


def _log_edges(found: Counted, middle: tuple[int, int], bins: int | None) -> tuple[int, ...]:
    zeros = found.values[0] == 0
    low, high = found.values[1 if zeros else 0], found.values[-1] + 1
    spread = math.log(middle[1] / middle[0]) if middle[0] > 0 else 0.0
    number = bins or min(MOST_BINS, _bins(math.log(high / low), spread, found.n))
    number = max(1, number - zeros) if bins else number
    inner = {round(low * (high / low) ** (place / number)) for place in range(1, number)}
    return tuple(sorted({*([0] if zeros else []), low, *(edge for edge in inner if low < edge < high), high}))


# ------------------------------------------------------------------------------------------------ correlation
@dataclass(frozen=True)
class Products:
    """Sums over n pairs of values x and y."""

    n: int
    x: int
    y: int
    xx: int
    yy: int
    xy: int


@dataclass(frozen=True)
class Correlation:
    """A correlation with its interval; `reason` says why one of them is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def products(x: Sequence[int], y: Sequence[int]) -> Products:
    """The sums of pairs, exact whatever their size."""
    return Products(
        len(x), sum(x), sum(y),
        sum(a * a for a in x), sum(b * b for b in y), sum(a * b for a, b in zip(x, y, strict=True)),
    )  # fmt: skip


def correlation(sums: Products, *, ranked: bool = False) -> Correlation:
    """Pearson's r of pairs, or Spearman's of their ranks, with the interval of Fisher's z."""
    n = sums.n
    if n < 2:
        return Correlation(None, reason="fewer than two calls tell both")
    var_x, var_y = n * sums.xx - sums.x**2, n * sums.yy - sums.y**2
    if not var_x or not var_y:
        return Correlation(None, reason="one of the two is the same in all calls")
    shared = n * sums.xy - sums.x * sums.y
    r = max(-1.0, min(1.0, shared / math.sqrt(var_x * var_y)))
    bounds = intervals.correlation(r, n, ranked=ranked)
    if bounds is None:
        return Correlation(r, reason="fewer than four calls tell both: no interval")
    return Correlation(r, bounds.low, bounds.high)


def doubled_ranks(values: Sequence[int]) -> list[int]:
    """Twice the rank of each value, so that the mean rank of equal ones is whole."""
    order = sorted(range(len(values)), key=values.__getitem__)
    out = [0] * len(values)
    start = 0
    for _, same in itertools.groupby(order, key=values.__getitem__):
        places = list(same)
        for place in places:
            out[place] = 2 * start + len(places) + 1
        start += len(places)
    return out


# ------------------------------------------------------------------------------------------------ draws
def allocate(sizes: Sequence[int], size: int, *, equal: bool) -> list[int]:
    """How many of each stratum a draw takes: never more than it has, in all `size` or everything.

    By size: the whole part of each share, then one more for the largest remainders, earlier strata first. Equal: the
    same of each; what small ones lack goes to the others.
    """
    if size >= sum(sizes):
        return list(sizes)
    if equal:
        return _same_of_each(sizes, size)
    total = sum(sizes)
    out = [size * n // total for n in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda place: (-(size * sizes[place] % total), place))
    for place in by_remainder[: size - sum(out)]:
        out[place] += 1
    return out


def _same_of_each(sizes: Sequence[int], size: int) -> list[int]:
    out, left = [0] * len(sizes), size
    waiting = sorted(range(len(sizes)), key=lambda place: (sizes[place], place))
    for done, place in enumerate(waiting):
        out[place] = min(sizes[place], left // (len(waiting) - done))
        left -= out[place]
    # what a whole share each leaves over is less than one more of each
    return out
