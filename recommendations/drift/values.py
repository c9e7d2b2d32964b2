"""The series of observations: which values a metric has, and what carried a shift. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommendations.drift.columns import NAMES, Observations
from recommendations.drift.scales import Array
from recommendations.drift.series import METRICS

DIMENSIONS = ("use_case", *NAMES)


@dataclass(frozen=True)
class Scope:
    """Which conversations a rule looks at; an empty kind: all."""

    kind: str = ""
    value: str = ""


@dataclass(frozen=True, eq=False)
class Values:
    """One series: values, the share of each that counts as the worst amount (None: no such thing), hours."""

    x: Array
    worst: Array | None
    hours: Array

    def __len__(self) -> int:
        return int(self.x.size)

    def slice(self, first: int, last: int | None = None) -> "Values":
        """A stretch of it."""
        cut = slice(first, last)
        return Values(self.x[cut], None if self.worst is None else self.worst[cut], self.hours[cut])


def inside(found: Observations, scope: Scope) -> NDArray[np.bool_]:
    """Which conversations belong to a scope."""
    if not scope.kind:
        return np.ones(len(found), bool)
    return np.asarray(getattr(found, scope.kind) == code_of(found, scope.kind, scope.value))


def code_of(found: Observations, dimension: str, value: str) -> int:
    """The code of a name; -1: none has it."""
    if dimension == "use_case":
        return int(value) if value.isdigit() else -1
    names = found.named(dimension)
    return names.index(value) if value in names else -1


def known(found: Observations, metric: str) -> NDArray[np.bool_]:
    """Which conversations tell a metric."""
    if metric == "mix":
        return np.asarray(found.use_case > 0)
    told = np.isfinite(getattr(found, METRICS[metric].column))
    return np.asarray(told | (found.failed >= 1)) if METRICS[metric].failures_are_worst else np.asarray(told)


def read(found: Observations, metric: str, *, part: str = "", scope: Scope | None = None) -> tuple[Values, Any]:
    """The series of a metric, and the mask of conversations it is made of.

    `part`: for the mix, the id of a use case.
    """
    mask = known(found, metric) & inside(found, scope or Scope())
    hours = found.hours[mask]
    if metric == "mix":
        return Values((found.use_case[mask] == int(part)).astype(float), None, hours), mask
    x = np.asarray(getattr(found, METRICS[metric].column)[mask], float)
    worst = found.failed[mask] if METRICS[metric].failures_are_worst else None
    return Values(x, worst, hours), mask


def parts(found: Observations, metric: str, *, most: int, scope: Scope | None = None) -> list[str]:
    """The series a metric falls into: one, or one for each of the largest use cases of the mix."""
    if metric != "mix":
        return [""]
    ids = found.use_case[(found.use_case > 0) & inside(found, scope or Scope())]
    kinds, counts = np.unique(ids, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    # of two use cases one says all
    order = order[:1] if len(kinds) == 2 else order
    return [str(kinds[n]) for n in order] if len(kinds) > 1 else []


def level(values: Array, view: str) -> float | None:
    """What people read of a stretch: the median of the typical call, else the mean."""
    found = values[np.isfinite(values)]
    if not found.size:
        return None
    return float(np.median(found) if view == "rank" else found.mean())


def contributions(
    before: Observations, after: Observations, *, x_before: Array, x_after: Array, names: Mapping[int, str]
) -> list[dict[str, Any]]:
    """What each use case, model and prompt version adds to the shift, the largest first.

    Of each dimension they add up to mean(x_after) - mean(x_before): share after × (mean after - m) - share before ×
    (mean before - m), where m is the mean before; so it counts both what changed inside a segment and its share.
    """
    out = []
    m, total = float(x_before.mean()), float(x_after.mean() - x_before.mean())
    for dimension in DIMENSIONS:
        sides = [_by_name(one, dimension, x, names) for one, x in ((before, x_before), (after, x_after))]
        for name in sorted(sides[0].keys() | sides[1].keys()):
            (n0, mean0), (n1, mean1) = (side.get(name, (0, m)) for side in sides)
            share0, share1 = n0 / x_before.size, n1 / x_after.size
            part = share1 * (mean1 - m) - share0 * (mean0 - m)
            out.append({
                "dimension": dimension, "name": name, "share_before": share0, "share_after": share1, "n": n1,
                "mean_before": mean0 if n0 else None, "mean_after": mean1 if n1 else None,
                "contribution": part, "part": part / total if total else None,
            })  # fmt: skip
    return sorted(out, key=lambda one: -abs(float(one["contribution"])))


def _by_name(found: Observations, dimension: str, x: Array, names: Mapping[int, str]) -> dict[str, tuple[int, float]]:
    codes = getattr(found, dimension)
    kinds, place = np.unique(codes, return_inverse=True)
    counts, sums = np.bincount(place), np.bincount(place, x)
    if dimension == "use_case":
        said: Sequence[str] = [names.get(int(kind), "no use case") if kind else "no use case" for kind in kinds]
    else:
        words = found.named(dimension)
        said = [words[kind] or "none" for kind in kinds]
    out: dict[str, tuple[int, float]] = {}
    for name, n, total in zip(said, counts, sums, strict=True):
        before_n, before_mean = out.get(name, (0, 0.0))
        out[name] = (before_n + int(n), (before_n * before_mean + float(total)) / (before_n + int(n)))
    return out
