"""What is usual: the mean of a series by hour of the week, how far it may be off, and how days swing. Pure."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from recommendations.drift import scales
from recommendations.drift.scales import Array, Policy, View

WEEK = 168  # hours
LEAST_OBSERVATIONS = 30
KEPT_AMOUNTS = 2000  # quantiles that stand for the amounts of a larger reference
SWINGS_FROM = 1.5


@dataclass(frozen=True, eq=False)
class Reference:
    """The usual level of one view of a series. Hours are counted from a Monday 00:00 UTC."""

    view: View
    amounts: Array  # sorted logarithms of the reference's amounts; empty for shares
    base: Array  # (168,) mean by hour of the week
    mean: float
    sd: float  # of one observation around the base
    se: float  # of the mean, clustered by day
    swing: float  # variance of day totals over what single conversations explain; 1 where it is not above chance
    down: float  # tolerance below and above the base
    up: float
    a_year: float  # observations
    n: int

    def as_json(self) -> dict[str, Any]:
        """Plain values; `from_json` gives the same reference back."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "amounts": self.amounts.tolist(), "base": self.base.tolist()}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Reference":
        """A stored reference."""
        return cls(**{**found, "amounts": np.array(found["amounts"], float), "base": np.array(found["base"], float)})


def log_threshold(reference: Reference, policy: Policy) -> float:
    """What a Shiryaev-Roberts sum must reach so that all series together give so many false alarms a year."""
    stated = (1 - policy.reference_share) * policy.false_alarms
    return math.log(max(reference.a_year * policy.series / stated, 2.0))


def scale(values: Array, reference: Reference, worst: Array | None = None) -> Array:
    """Observations on the reference's scale; `worst`: the share of each that counts as the worst amount (failures)."""
    return blended(scales.scaled(values, reference.view, reference.amounts), worst)


def blended(x: Array, worst: Array | None) -> Array:
    """The given share of each observation replaced by 1; where all of it is, its amount need not be known."""
    if worst is None:
        return x
    return np.where(worst >= 1, 1.0, (1 - worst) * x + worst)


def week_cycle(x: Array, hours: Array) -> Array:
    """Mean by hour of the week: hour-of-day, weekday and hour-of-week effects, each shrunk (empirical Bayes)."""
    hour = (hours % WEEK).astype(int)
    groups = (np.arange(WEEK) % 24, np.arange(WEEK) // 24, np.arange(WEEK))
    effects = np.zeros((3, WEEK))
    for k in (0, 1, 2) * 3:
        rest = x - x.mean() - (effects.sum(0) - effects[k])[hour]
        group = groups[k][hour]
        n = np.bincount(group, minlength=int(groups[k].max()) + 1)
        mean = np.bincount(group, rest, n.size) / np.maximum(n, 1)
        noise = (rest - mean[group]).var() * x.size / max(x.size - n.size, 1)
        spare = x.size - (n**2).sum() / x.size
        spread = ((n * mean**2).sum() - (n.size - 1) * noise) / spare if spare > 0 else 0.0
        effects[k] = (mean * n * max(spread, 0.0) / (n * max(spread, 0.0) + noise + 1e-12))[groups[k]]
    base = x.mean() + effects.sum(0)
    return np.asarray(np.clip(base + (x - base[hour]).mean(), 0.0, 1.0))


def learn(values: Array, at: Array, *, view: View, policy: Policy, worst: Array | None = None) -> Reference:
    """Learn what is usual.

    Args:
        values: shape (n,), one per closed conversation, in order of time; rates and scores in [0, 1], or amounts.
        at: shape (n,), hours from a Monday 00:00.
        worst: shape (n,), the share of each conversation that failed and so counts as the worst amount.

    Raises:
        ValueError: fewer than 30 observations, or no amount at all.
    """
    if values.size < LEAST_OBSERVATIONS:
        raise ValueError(f"values: a reference needs at least {LEAST_OBSERVATIONS} conversations")
    amounts = np.empty(0) if view == "share" else _kept(scales.logarithms(values[np.isfinite(values)]))
    x = blended(scales.scaled(values, view, amounts), worst)
    weeks = (at[-1] - at[0]) / 24 >= 13
    base = week_cycle(x, at) if weeks else np.full(WEEK, x.mean())
    rest = x - base[(at % WEEK).astype(int)]
    mean, sd = float(x.mean()), float(rest.std())
    se, swing, free = _spread(rest, at, sd=sd, weeks=bool(weeks))
    a_year = x.size / max((at[-1] - at[0]) / 24, 1.0) * 365
    off = _off(mean, se, n=x.size, a_year=a_year, free=free, policy=policy)
    near = scales.tolerance(mean, view, amounts, policy)
    return Reference(
        view=view, amounts=amounts, base=base, mean=mean, sd=sd, se=se, swing=swing,
        down=max(near, mean - off[0]), up=max(near, off[1] - mean), a_year=float(a_year), n=x.size,
    )  # fmt: skip


def _kept(logs: Array) -> Array:
    if not logs.size:
        raise ValueError("values: no amount is known")
    if logs.size <= KEPT_AMOUNTS:
        return np.sort(logs)
    return np.asarray(np.quantile(logs, (np.arange(KEPT_AMOUNTS) + 0.5) / KEPT_AMOUNTS))


def _spread(rest: Array, at: Array, *, sd: float, weeks: bool) -> tuple[float, float, int]:
    """Standard error of the mean, the swing, and degrees of freedom: do days swing together?

    Newey & West (1987) with two lags over day totals; below seven days conversations alone tell.
    """
    day = (at // 24 - at[0] // 24).astype(int)
    days, se = int(day.max()) + 1, sd / math.sqrt(rest.size)
    if days < 7 or not se:
        return se, 1.0, rest.size - 1
    free, total = days - (7 if weeks else 1), np.bincount(day, rest)
    spread = float((total**2).sum())
    if weeks:
        spread += sum(w * float((total[k:] * total[:-k]).sum()) for k, w in ((1, 4 / 3), (2, 2 / 3)))
    swing = spread * days / free / (se * rest.size) ** 2
    swing = swing if swing > SWINGS_FROM else 1.0
    return se * math.sqrt(swing), swing, free


def _off(mean: float, se: float, *, n: int, a_year: float, free: int, policy: Policy) -> tuple[float, float]:
    """How low and high the true mean may lie: Wilson's interval at the effective size.

    Any series is beyond it with chance `reference_share * false_alarms` over a year; less what the horizon cannot show.
    """
    chance = min(policy.reference_share * policy.false_alarms * policy.horizon / 365, 0.5)
    z = NormalDist().inv_cdf(1 - chance / (2 * policy.series))
    z *= 1 + (z * z + 1) / (4 * max(free, 1))
    stated = (1 - policy.reference_share) * policy.false_alarms
    evidence = math.log(max(a_year * policy.series / stated, 2.0))
    z = max(z - math.sqrt(2 * evidence * n / (a_year * policy.horizon / 365)), 0.0)
    size = max(mean * (1 - mean) / se**2, n) if se else n
    center = (mean + z * z / (2 * size)) / (1 + z * z / size)
    half = z * math.sqrt(mean * (1 - mean) / size + (z / size) ** 2 / 4) / (1 + z * z / size)
    return center - half, center + half
