"""Mergeable quantiles of whole numbers: DDSketch (Masson, Rim and Lee 2019) with whole-number edges.

A value falls into a bucket whose ends differ from its middle by at most ACCURACY of it; a sketch is the counts of the
buckets that are not empty. So a quantile is off by at most that share, small numbers (below 25) are exact, and sketches
add up in any order to the same counts. The edges are whole numbers found by whole-number arithmetic: no logarithm of
some machine decides where a value falls. Zero has a bucket of its own, negative values mirror the positive ones, and
what is missing is not counted.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

ACCURACY = 0.02
_UP, _DOWN = 51, 49  # (1 + ACCURACY) / (1 - ACCURACY) as whole numbers
_LARGEST = 2**63
_PARTS = 10**6  # quantiles are read to six decimals


@functools.cache
def _edges() -> tuple[int, ...]:
    """The lowest value of each positive bucket, then one past the highest."""
    lows = [1]
    while lows[-1] <= _LARGEST:
        lows.append(lows[-1] * _UP // _DOWN + 1)
    return (*lows[:-1], _LARGEST + 1)


@functools.cache
def _lows() -> NDArray[np.uint64]:
    import numpy as np

    return np.array(_edges()[:-1], dtype=np.uint64)


@functools.cache
def _below_65536() -> NDArray[np.int64]:
    """The bucket of each small number: tokens and short times are looked up instead of searched."""
    import numpy as np

    return np.searchsorted(_lows(), np.arange(65536, dtype=np.uint64), side="right").astype(np.int64)


def buckets(values: Ints) -> Ints:
    """The bucket of each value: 0 for zero, n for the n-th positive one, -n for its mirror image."""
    import numpy as np

    if len(values) == 0:
        return np.zeros(0, dtype=np.int64)
    low, high = int(values.min()), int(values.max())
    if low >= 0 and high < 65536:
        return _below_65536()[values]
    sizes = values.view(np.uint64) if low >= 0 else np.where(values < 0, -values.astype(np.uint64), values).astype("u8")
    found = np.searchsorted(_lows(), sizes, side="right").astype(np.int64)
    return found if low >= 0 else np.where(values < 0, -found, found)


def ends(bucket: int) -> tuple[int, int]:
    """The lowest and the highest value of a bucket."""
    if bucket == 0:
        return 0, 0
    low, high = _edges()[abs(bucket) - 1], _edges()[abs(bucket)] - 1
    return (low, high) if bucket > 0 else (-high, -low)


@functools.cache
def middle(bucket: int) -> int | float:
    """The value that stands for a bucket: no value of it is further off than ACCURACY of itself."""
    low, high = ends(bucket)
    return low if low == high else 2 * low * high / (low + high)


@dataclass(frozen=True, eq=False)
class Sketches:
    """Counts of buckets of many groups, sorted by group, then bucket; three arrays of one length, counts above 0."""

    group: Ints
    bucket: Ints
    count: Ints

    def quantiles(self, n_groups: int, wanted: Sequence[float]) -> list[list[int | float | None]]:
        """Nearest-rank quantiles of each group, of all at once; None in a group without values."""
        import numpy as np

        cuts = np.searchsorted(self.group, np.arange(n_groups + 1))
        until = np.concatenate([[0], np.cumsum(self.count)])
        before, n = until[cuts[:-1]], np.diff(until[cuts])
        # shares of n in whole numbers: 64 bits hold the product of fewer than 2^43 calls
        shares = np.array([round(q * _PARTS) for q in wanted], dtype=np.int64)
        ranks = np.maximum(1, -(-n[:, np.newaxis] * shares // _PARTS))
        places = np.searchsorted(until, before[:, np.newaxis] + ranks) - 1
        return [
            [middle(int(self.bucket[place])) if calls else None for place in row]
            for row, calls in zip(places.tolist(), n.tolist(), strict=True)
        ]

    def of(self, n_groups: int) -> list[Sketch]:
        """One sketch a group; those of groups without a value are empty."""
        import numpy as np

        cuts = np.searchsorted(self.group, np.arange(n_groups + 1))
        return [Sketch(self.bucket[a:b], self.count[a:b]) for a, b in itertools.pairwise(cuts)]


@dataclass(frozen=True, eq=False)
class Sketch:
    """The values of one group: buckets in order and how many values each holds."""

    bucket: Ints
    count: Ints

    @property
    def n(self) -> int:
        """How many values."""
        return int(self.count.sum())

    def quantile(self, q: float) -> int | float | None:
        """The nearest-rank quantile, within ACCURACY of the exact one; None without values."""
        return self.quantiles([q])[0]

    def quantiles(self, wanted: Sequence[float]) -> list[int | float | None]:
        """Nearest-rank quantiles: of the smallest values that at least these shares do not exceed."""
        import numpy as np

        until = np.cumsum(self.count)
        n = int(until[-1]) if len(until) else 0
        if n == 0:
            return [None] * len(wanted)
        ranks = [max(1, -(-n * round(q * _PARTS) // _PARTS)) for q in wanted]
        return [middle(int(self.bucket[place])) for place in np.searchsorted(until, ranks)]

    def at_most(self, value: int) -> int:
        """How many values lie in buckets up to the one of `value`."""
        import numpy as np

        edge = buckets(np.array([value], dtype=np.int64))[0]
        return int(self.count[: np.searchsorted(self.bucket, edge, side="right")].sum())


def count(group: Ints, bucket: Ints, weight: Ints | None = None) -> Sketches:
    """Sketches of values given by group and bucket, or the sum of sketches given by their counts; in any order."""
    import numpy as np

    if len(group) == 0:
        none = np.zeros(0, dtype=np.int64)
        return Sketches(none, none, none)
    low = int(bucket.min())
    width = int(bucket.max()) - low + 1
    code = group * width + (bucket - low)
    n_codes = (int(group.max()) + 1) * width
    if n_codes <= 4 * len(code) + 1_000_000:
        # floats are exact up to 2^53 calls
        counts = np.bincount(code, weights=weight, minlength=n_codes)
        filled = np.flatnonzero(counts)
        found = counts[filled].astype(np.int64)
    elif weight is None:
        filled, found = np.unique(code, return_counts=True)
    else:
        order = np.argsort(code, kind="stable")
        filled, starts = np.unique(code[order], return_index=True)
        found = np.add.reduceat(weight[order], starts)
    return Sketches(filled // width, filled % width + low, found.astype(np.int64))
