"""One look at one set of rows: Bayesian bootstrap of units (Rubin 1981), guarded by an imagined failure.

All sums are exact (see fixed_point), so that the same rows give the same bytes on every processor.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.statistics import fixed_point
from evaluation.statistics.fixed_point import Array, Grouping
from evaluation.statistics.intervals import Interval
from evaluation.statistics.judge_error import Bias
from evaluation.statistics.policy import Policy
from evaluation.statistics.samples import Samples

_RATIO_OF_FREE = 1e6  # a candidate that costs something where the baseline is free
_CENTRAL = (0.025, 0.975)
# Measured on some of the prompts by design, so that the rest is not missing; its losses show in many prompts.
SPARSE = ("stability",)


@dataclass(frozen=True)
class Measured:
    """One metric of k candidates against the baseline, on the prompts that both have."""

    estimate: Array  # (k,) paired difference; for cost and latency the share saved; for a level the mean itself
    draws: Array  # (k, draws) the same, re-weighted
    influence: Array  # (units, k) of each unit on the estimate, in units of the estimate
    prompts: npt.NDArray[np.int64]  # (k,) prompts with a value in both arms
    baseline: Array  # (k,) mean of the baseline on these prompts; 0 where there are none
    value: Array  # (k,) mean of the candidate
    guarded: Array  # (k, draws) draws with the imagined failure; the same as draws for cost and latency


@dataclass(frozen=True)
class Term:
    """What a condition is about; its numbers are rows of Evidence."""

    metric: str  # key of Evidence.metrics; "gain" for the gain
    kind: str  # margin, limit or gain
    bar: float  # the condition holds when its value exceeds this


@dataclass(frozen=True)
class Evidence:
    """Arrays are (conditions, k): one row per margin in policy order, then the limits, the last one the gain."""

    p: Array  # share of re-weightings in which the condition fails
    distance: Array  # estimate minus its bar: > 0 is good
    error: Array  # standard error, clustered by unit
    doubt: Array  # what the imagined unit takes off, times (units + 1)
    floor: Array  # (conditions,) judge error that more prompts do not reduce
    estimate: Mapping[str, Array]  # metric -> (k,) paired estimate
    interval: Mapping[str, Array]  # metric -> (k, 2) central 95 % of the re-weightings
    gain: Array  # (k,)
    missing: Array  # (k,) share of prompts without a score in either arm, of the guard that lacks most
    units: int
    prompts: int
    terms: tuple[Term, ...]  # (conditions,)
    draws: Array  # (conditions, k, draws) the re-weighted values that are held against the bars
    metrics: Mapping[str, Measured]


@dataclass(frozen=True)
class _Condition:
    term: Term
    draws: Array
    distance: Array
    error: Array
    doubt: Array
    floor: float


@dataclass(frozen=True)
class _Setting:
    """What all metrics of one look share."""

    policy: Policy
    grouping: Grouping
    weights: Array  # (units, draws) integers
    noise: Array  # (draws,) the judges' systematic error
    bias: Bias
    means: Mapping[str, float]  # of the baseline over all replayable prompts

    def imagined(self, weight: float) -> Array:
        """Return the weights of an imagined unit of √(prompts / units) prompts, shape (draws,)."""
        size = math.sqrt(self.grouping.at.size / self.grouping.units)
        return fixed_point.imagined_weights(self.policy.draws, self.policy.seed, weight) * size

    def imagined_weight(self, guard: str) -> float:
        return self.policy.imagined_quality if guard in ("quality", *SPARSE) else self.policy.imagined


def evidence(samples: Samples, policy: Policy, bias: Bias | None = None) -> Evidence:
    """Return the evidence in the rows given, at least one, all of which count.

    Args:
        samples: column 0 is the baseline; the others are the k candidates.
        policy: margins, limits and weights; those whose metric is absent are left out.
        bias: the judges' error on a quality difference; absent: mean 0 and the policy's judge_sd.
    """
    grouping = Grouping.by(samples.unit)
    own = bias or Bias(0.0, policy.judge_sd)
    noise = own.sd * fixed_point.normal_draws(policy.draws, policy.seed)
    weights = grouping.weights(policy.draws, policy.seed)
    setting = _Setting(policy, grouping, weights, noise, own, samples.baseline or {})
    metrics = {name: _guard(name, x, setting) for name, x in samples.guards.items()}
    for name, amounts in (("cost", samples.cost_usd), ("latency", samples.latency_s)):
        if amounts is not None:  # unknown: it neither gains nor loses
            metrics[name] = _saving(name, amounts, setting)
    for name, _ in policy.limits:
        if name in (samples.levels or {}):
            metrics[f"level {name}"] = _level(name, (samples.levels or {})[name], setting)
    return _weigh(metrics, samples, setting)


def _pairs(x: Array) -> tuple[Array, Array, Array]:
    """Return where both arms are known as 0 or 1, and candidate and baseline there, each (n, k), else 0."""
    both = np.isfinite(x[:, 1:]) & np.isfinite(x[:, :1])
    return both.astype(float), np.where(both, x[:, 1:], 0.0), np.where(both, x[:, :1], 0.0)


def _guard(name: str, x: Array, setting: _Setting) -> Measured:
    """Paired difference of a guard, with and without the imagined unit on which the candidate fails completely."""
    both, mine, base = _pairs(x)
    group = setting.grouping
    diff, seen = group.sums(mine - base), group.sums(both)
    prompts = seen.total()
    estimate = diff.per_prompt(prompts)
    top, bottom = diff.reweighted(setting.weights), seen.reweighted(setting.weights)
    extra = setting.imagined(setting.imagined_weight(name))
    measured = Measured(
        estimate=estimate,
        draws=top / np.maximum(bottom, 1e-9),
        influence=(diff.each() - seen.each() * estimate) * group.units / np.maximum(prompts, 1.0),
        prompts=prompts.astype(np.int64),
        baseline=group.sums(base).per_prompt(prompts),
        value=group.sums(mine).per_prompt(prompts),
        guarded=(top - extra) / np.maximum(bottom + extra, 1e-9),
    )
    measured = _adjust(name, measured, x, setting)
    return _judged(measured, setting) if name == "quality" else measured


def _judged(measured: Measured, setting: _Setting) -> Measured:
    """Add the judges' systematic error to a quality difference."""
    moved = setting.bias.mean + setting.noise
    return dataclasses.replace(
        measured,
        estimate=measured.estimate + setting.bias.mean,
        draws=measured.draws + moved,
        guarded=measured.guarded + moved,
    )


def _saving(name: str, x: Array, setting: _Setting) -> Measured:
    """Share saved of an amount, 1 − Σ candidate / Σ baseline, over the prompts where both are known."""
    both, mine, base = _pairs(x)
    group = setting.grouping
    spent, owed, seen = group.sums(mine), group.sums(base), group.sums(both)
    charged = owed.whole.sum(0) > 0
    # From here on in steps of each column's own size: a ratio of amounts needs no unit, and cannot overflow.
    size = np.ldexp(1.0, np.clip(spent.exponent - owed.exponent, -60, 60))
    bottom = np.where(charged, owed.whole.sum(0), 1.0)
    # A free baseline leaves nothing to save; no pair at all: as if equal.
    free = np.where(spent.whole.sum(0) > 0, _RATIO_OF_FREE, 1.0)
    ratio = np.where(charged, spent.whole.sum(0) / bottom * size, free)
    again = (spent.whole.T @ setting.weights) / np.maximum(owed.whole.T @ setting.weights, 1.0) * size[:, None]
    influence = np.where(charged, -(spent.whole * size - ratio * owed.whole) * group.units / bottom, 0.0)
    prompts = seen.total()
    draws = np.where(charged[:, None], 1 - again, (1 - ratio)[:, None])
    measured = Measured(
        estimate=1 - ratio,
        draws=draws,
        guarded=draws,
        influence=influence,
        prompts=prompts.astype(np.int64),
        baseline=owed.per_prompt(prompts),
        value=spent.per_prompt(prompts),
    )
    return _adjust(name, measured, x, setting)


def _level(name: str, x: Array, setting: _Setting) -> Measured:
    """Mean of the candidate alone, for a limit; the imagined unit counts 0."""
    known = np.isfinite(x)
    group = setting.grouping
    mine, seen = group.sums(np.where(known, x, 0.0)[:, 1:]), group.sums(known[:, 1:].astype(float))
    prompts = seen.total()
    level = mine.per_prompt(prompts)
    top, bottom = mine.reweighted(setting.weights), seen.reweighted(setting.weights)
    noise = setting.noise if name == "quality" else np.zeros(1)
    extra = setting.imagined(setting.policy.imagined)
    production = group.sums(np.where(known, x, 0.0)[:, :1]), group.sums(known[:, :1].astype(float))
    return Measured(
        estimate=level,
        draws=top / np.maximum(bottom, 1e-9) + noise,
        influence=(mine.each() - seen.each() * level) * group.units / np.maximum(prompts, 1.0),
        prompts=prompts.astype(np.int64),
        baseline=np.broadcast_to(production[0].per_prompt(production[1].total()), level.shape),
        value=level,
        guarded=top / np.maximum(bottom + extra, 1e-9) + noise,
    )


def _adjust(name: str, measured: Measured, x: Array, setting: _Setting) -> Measured:
    """Regress on the baseline's own value, whose mean over the population is known (control variate)."""
    mean = setting.means.get(name)
    if mean is None:
        return measured
    both, _, _ = _pairs(x)
    group = setting.grouping
    base, seen = group.sums(np.where(both > 0, x[:, :1] - mean, 0.0)), group.sums(both)
    prompts = np.maximum(seen.total(), 1.0)
    off = base.whole.sum(0) / prompts  # by how much the prompts drawn differ from all, in steps of the sums
    lean = (base.whole - seen.each() * off) * group.units / prompts
    size = np.maximum(fixed_point.total(lean**2), 1e-12)
    slope = fixed_point.total(lean * measured.influence) / size
    drawn = (base.whole.T @ setting.weights) / np.maximum(seen.whole.T @ setting.weights, 1.0)
    moved = slope[:, None] * np.ldexp(drawn, -seen.exponent[:, None])
    return dataclasses.replace(
        measured,
        estimate=measured.estimate - slope * off,
        influence=measured.influence - slope * lean,
        draws=measured.draws - moved,
        guarded=measured.guarded - moved,
    )


def _utility(parts: Mapping[str, Array], policy: Policy) -> Array:
    """Σ weight · gain / scale over the metrics that are known."""
    gain = np.zeros_like(parts["quality"])
    for name, weight, scale in policy.weights:
        if name in parts:
            gain = gain + weight * parts[name] / scale
    return gain


def _spread(influence: Array) -> Array:
    """Standard error of a mean over units, (units, k) → (k,)."""
    return np.asarray(np.sqrt(fixed_point.variance(influence) / influence.shape[0]))


def _bounded(metric: str, kind: str, *, bar: float, measured: Measured, setting: _Setting) -> _Condition:
    """The condition that a guard or a level exceeds its bar."""
    name = metric.removeprefix("level ")
    weight = setting.policy.imagined if kind == "limit" else setting.imagined_weight(name)
    reach = measured.estimate if kind == "limit" else measured.estimate + 1  # down to a complete failure
    return _Condition(
        term=Term(metric, kind, bar),
        draws=measured.guarded,
        distance=measured.estimate - bar,
        error=_spread(measured.influence),
        doubt=reach * weight,
        floor=setting.bias.sd if name == "quality" else 0.0,
    )


def _gain(metrics: Mapping[str, Measured], setting: _Setting) -> _Condition:
    """The condition that the gain exceeds the least one worth a migration."""
    policy = setting.policy
    gain = _utility({m: x.estimate for m, x in metrics.items()}, policy)
    draws = _utility({m: x.draws for m, x in metrics.items()}, policy)
    stretch = 1 + 2 / setting.grouping.units  # the bootstrap of few units is a little too sure
    return _Condition(
        term=Term("gain", "gain", policy.min_gain),
        draws=gain[:, None] + (draws - gain[:, None]) * stretch,
        distance=gain - policy.min_gain,
        error=_spread(_utility({m: x.influence for m, x in metrics.items()}, policy)),
        doubt=np.zeros_like(gain),
        floor=setting.bias.sd * sum(weight / scale for m, weight, scale in policy.weights if m == "quality"),
    )


def _conditions(metrics: Mapping[str, Measured], setting: _Setting) -> list[_Condition]:
    policy = setting.policy
    found = [
        _bounded(name, "margin", bar=-margin, measured=metrics[name], setting=setting)
        for name, margin in policy.margins
        if name in metrics
    ]
    found += [
        _bounded(f"level {name}", "limit", bar=least, measured=metrics[f"level {name}"], setting=setting)
        for name, least in policy.limits
        if f"level {name}" in metrics
    ]
    return [*found, _gain(metrics, setting)]


def _weigh(metrics: Mapping[str, Measured], samples: Samples, setting: _Setting) -> Evidence:
    policy = setting.policy
    conditions = _conditions(metrics, setting)
    fails = np.array([(c.draws <= c.term.bar).sum(1) for c in conditions])
    whole = {"quality", *dict(policy.margins)}.difference(SPARSE)
    pairs = [samples.guards[m] for m in whole if m in samples.guards]
    gain = conditions[-1]
    spreads = {m: x.draws for m, x in metrics.items()} | {"gain": gain.draws}
    return Evidence(
        p=(fails + 1) / (policy.draws + 1),
        distance=np.array([c.distance for c in conditions]),
        error=np.array([c.error for c in conditions]),
        doubt=np.array([c.doubt for c in conditions]),
        floor=np.array([c.floor for c in conditions]),
        estimate={m: x.estimate for m, x in metrics.items()},
        interval={m: np.quantile(x, _CENTRAL, axis=1).T for m, x in spreads.items()},
        gain=_utility({m: x.estimate for m, x in metrics.items()}, policy),
        missing=np.max([(~np.isfinite(x[:, 1:] + x[:, :1])).mean(0) for x in pairs], axis=0),
        units=setting.grouping.units,
        prompts=setting.grouping.at.size,
        terms=tuple(c.term for c in conditions),
        draws=np.array([c.draws for c in conditions]),
        metrics=metrics,
    )


def mean_interval(x: Array, unit: npt.NDArray[np.generic], policy: Policy) -> Interval | None:
    """Return the mean of x with the central 95 % of the same re-weightings of units that the decision uses.

    For a paired difference per prompt in a unit of its own, such as dollars saved by a call.

    Args:
        x: shape (n,), any finite values; nan: unknown, left out.
        unit: shape (n,), conversation of each prompt.
        policy: its number of draws and its seed.

    Returns:
        None when nothing is known; the interval of a single unit has no width.

    Raises:
        ValueError: if the shapes differ or a value is infinite.
    """
    if np.ndim(x) != 1 or np.shape(x) != np.shape(unit):
        raise ValueError(f"x: shape {np.shape(x)}, expected that of unit, {np.shape(unit)}")
    if np.isinf(x).any():
        raise ValueError("x: values must be finite")
    known = np.isfinite(x)
    if not known.any():
        return None
    group = Grouping.by(unit[known])
    sums, seen = group.sums(x[known][:, None]), group.sums(np.ones((int(known.sum()), 1)))
    weights = group.weights(policy.draws, policy.seed)
    drawn = sums.reweighted(weights) / seen.reweighted(weights)
    low, high = np.quantile(drawn[0], _CENTRAL)
    return Interval(float(sums.total()[0] / seen.total()[0]), float(low), float(high))
