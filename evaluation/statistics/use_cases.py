"""Where the answers of a candidate are worse, by use case: findings, not verdicts."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from evaluation.statistics import fixed_point
from evaluation.statistics.fixed_point import Array

_ERROR = 0.1  # chance that any use case is flagged wrongly


@dataclass(frozen=True)
class UseCaseFinding:
    """One use case: its mean difference as it is, and shrunk towards the overall mean."""

    use_case: str
    prompts: int
    raw: float
    shrunk: float
    error: float  # standard error of the shrunk mean
    chance_worse: float  # than the margin
    worse: bool  # at chance > 0.9 after Holm over use cases


def findings(
    diff: Array, use_case: npt.NDArray[np.generic], *, margin: float, least: int = 8
) -> tuple[UseCaseFinding, ...]:
    """Return a finding per use case, in order of their names; none with fewer than two use cases of `least` prompts.

    Random effects (DerSimonian & Laird 1986) with one pooled variance within use cases, prompts taken as independent;
    flags by Holm (1979).

    Args:
        diff: shape (n,), paired quality differences; nan: unscored, left out.
        use_case: shape (n,), labels.
        margin: how much worse is still acceptable.
        least: prompts that a use case needs to be looked at.

    Raises:
        ValueError: if the shapes differ.
    """
    if np.ndim(diff) != 1 or np.shape(diff) != np.shape(use_case):
        raise ValueError(f"diff: shape {np.shape(diff)}, expected that of use_case, {np.shape(use_case)}")
    known = np.isfinite(diff)
    groups = [(str(name), diff[known & (use_case == name)]) for name in np.unique(use_case)]
    groups = [(name, x) for name, x in groups if x.size >= least]
    if len(groups) < 2:
        return ()
    sizes = np.array([x.size for _, x in groups], float)
    raw = np.array([float(fixed_point.mean(x)) for _, x in groups])
    shrunk, error = _shrink(raw, sizes, [x for _, x in groups])
    chance = special.ndtr((-margin - shrunk) / error)
    worse = _holm(1 - chance)
    return tuple(
        UseCaseFinding(name, x.size, float(raw[i]), float(shrunk[i]), float(error[i]), float(chance[i]), bool(worse[i]))
        for i, (name, x) in enumerate(groups)
    )


def _shrink(raw: Array, sizes: Array, groups: list[Array]) -> tuple[Array, Array]:
    """Return shrunk means and their standard errors."""
    count = sizes.size
    within = math.fsum(float(fixed_point.variance(x)) * x.size for x in groups) / max(float(sizes.sum()) - count, 1.0)
    within = max(within, 1e-12)  # use cases without any spread are known exactly
    weight = sizes / within
    mean = math.fsum(weight * raw) / math.fsum(weight)
    apart = math.fsum(weight * (raw - mean) ** 2)
    between = (apart - count + 1) / (math.fsum(weight) - math.fsum(weight**2) / math.fsum(weight))
    between = max(0.0, between)
    trust = between / (between + within / sizes)
    error = np.sqrt(trust * within / sizes + (1 - trust) ** 2 / math.fsum(weight))
    return mean + trust * (raw - mean), error


def _holm(p: Array) -> npt.NDArray[np.bool_]:
    """Return which hypotheses Holm's step-down procedure rejects."""
    rejected = np.zeros(p.size, bool)
    for rank, i in enumerate(np.argsort(p, kind="stable")):
        if p[i] > _ERROR / (p.size - rank):
            break
        rejected[i] = True
    return rejected
