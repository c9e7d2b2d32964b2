"""One set of conversations against another, once: have any of their series moved? Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommendations.drift import scales
from recommendations.drift.scales import Array, Policy, View

ERROR = 0.05
DRAWS = 2000
BLOCK = 100


@dataclass(frozen=True)
class Difference:
    """How one series moved. `p`: chance of such a difference in any series, if none moved beyond its tolerance."""

    alarm: bool
    view: View  # the one that moved most
    shift: float  # arriving minus reference, on that view's scale
    p: float


@dataclass(frozen=True, eq=False)
class _Views:
    columns: list[tuple[int, View]]
    x: Array  # (rows, views), centered; 0 where not known
    known: Array
    near: Array  # tolerance of each

    @property
    def size(self) -> Array:
        return np.asarray(self.known.sum(0))

    @property
    def sd(self) -> Array:
        return np.asarray(np.sqrt((self.x**2).sum(0) / np.maximum(self.size, 1)))


def compare(
    reference: Array,
    arriving: Array,
    amount: Sequence[bool],
    policy: Policy,
    *,
    error: float = ERROR,
    draws: int = DRAWS,
    seed: int = 7,
) -> list[Difference]:
    """Compare two files: rows are conversations (means over their calls), columns are series, nan where unknown.

    Whole rows change places between the files (Westfall & Young 1993, step-down over the largest difference beyond
    tolerance), so the chance of any alarm over all series is at most `error`, however the series hang together.

    Raises:
        ValueError: columns differ, a file is empty, or an amount is below 0.
    """
    if reference.ndim != 2 or reference.shape[1:] != arriving.shape[1:] or len(amount) != reference.shape[1]:
        raise ValueError("reference, arriving: a column for each series")
    if not len(reference) or not len(arriving):
        raise ValueError("reference, arriving: a file without conversations")
    if any((file[:, k] < 0).any() for file in (reference, arriving) for k, is_one in enumerate(amount) if is_one):
        raise ValueError("reference, arriving: an amount below 0")
    views = _views(np.vstack([reference, arriving]).astype(float), amount, policy)
    first = np.arange(len(views.x)) < len(reference)
    chance = _chance(views, first, draws=draws, rng=np.random.default_rng(seed))
    shift, se = (v[0] for v in _difference(views, first[None].astype(float)))
    score = np.maximum(np.abs(shift) - views.near, 0) / se
    p = _stepped_down(score, chance)
    out = []
    for k in range(reference.shape[1]):
        v = max((v for v, (owner, _) in enumerate(views.columns) if owner == k), key=lambda v: float(score[v]))
        out.append(Difference(bool(p[v] <= error), views.columns[v][1], float(shift[v]), float(p[v])))
    return out


def _views(files: Array, amount: Sequence[bool], policy: Policy) -> _Views:
    both: tuple[View, ...] = ("rank", "size")
    one: tuple[View, ...] = ("share",)
    columns = [(k, view) for k in range(files.shape[1]) for view in (both if amount[k] else one)]
    x, near = np.zeros((len(files), len(columns))), np.zeros(len(columns))
    known = np.isfinite(files)[:, [k for k, _ in columns]]
    for v, (k, view) in enumerate(columns):
        values = files[known[:, v], k]
        if values.size:
            amounts = np.sort(scales.logarithms(values))  # of both files, or rows could not change places
            y = scales.scaled(values, view, amounts)
            near[v] = scales.tolerance(float(y.mean()), view, amounts, policy)
            x[known[:, v], v] = y - y.mean()
    return _Views(columns, x, known.astype(float), near)


def _difference(views: _Views, rows: Array) -> tuple[Array, Array]:
    """Arriving minus reference, and its error; rows: (m, n), 1 where a row is taken for the reference."""
    n, total = rows @ views.known, rows @ views.x
    n, rest = np.maximum(n, 1), np.maximum(views.size - n, 1)
    return -total / n - total / rest, views.sd * np.sqrt(1 / n + 1 / rest) + 1e-12


def _chance(views: _Views, first: NDArray[np.bool_], *, draws: int, rng: np.random.Generator) -> Array:
    found = np.empty((draws, len(views.columns)))
    for start in range(0, draws, BLOCK):
        rows = rng.permuted(np.tile(first, (min(BLOCK, draws - start), 1)), axis=1)
        shift, se = _difference(views, rows.astype(float))
        found[start : start + BLOCK] = np.abs(shift) / se
    return found


def _stepped_down(score: Array, chance: Array) -> Array:
    """Each against the largest of itself and those with a smaller score; never smaller than a larger score's."""
    p, largest, order = np.ones(score.size), np.zeros(len(chance)), np.argsort(score)
    for v in order:
        largest = np.maximum(largest, chance[:, v])
        p[v] = (1 + (largest >= score[v]).sum()) / (len(chance) + 1)
    p[order[::-1]] = np.maximum.accumulate(p[order[::-1]])
    return p
