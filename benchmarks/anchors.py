"""What people do today to choose a model, for `benchmarks.decision`: n prompts for every candidate, then a rule."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from evaluation.statistics.decision import Policy, Samples

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """What a method says, and what it paid."""

    recommended: int | None  # column
    confidence: float
    answers: int  # of candidates
    looks: int = 1


@dataclass(frozen=True)
class _Part:
    """The first n prompts of the samples, cost and latency known, every conversation's number in place of its name."""

    guards: Mapping[str, Array]
    amounts: Mapping[str, Array]
    unit: npt.NDArray[np.int64]
    policy: Policy

    @classmethod
    def of(cls, samples: Samples, policy: Policy, n: int) -> "_Part":
        known = {"cost": samples.cost_usd, "latency": samples.latency_s}
        return cls(
            {name: x[:n] for name, x in samples.guards.items()},
            {name: x[:n] for name, x in known.items() if x is not None},
            np.unique(samples.unit[:n], return_inverse=True)[1],
            policy,
        )

    @property
    def candidates(self) -> int:
        return int(self.guards["quality"].shape[1]) - 1

    def gains(self, means: Mapping[str, Array]) -> Array:
        """Return the gain of each candidate from differences of guards and shares saved of amounts."""
        parts = [w * means[name] / scale for name, w, scale in self.policy.weights if name in means]
        return np.asarray(sum(parts, np.zeros(self.candidates)))

    def differences(self) -> dict[str, Array]:
        """Return the plain difference of guards and share saved of amounts, shape (k,)."""
        found = {name: x[:, 1:].mean(0) - x[:, 0].mean() for name, x in self.guards.items()}
        return found | {name: 1 - x[:, 1:].mean(0) / x[:, 0].mean() for name, x in self.amounts.items()}

    def per_prompt(self) -> Array:
        """Return each model's gain on each prompt, shape (n, 1 + k); amounts in shares of the baseline's mean."""
        found = np.zeros_like(self.guards["quality"])
        for name, weight, scale in self.policy.weights:
            if name in self.guards:
                found += weight * self.guards[name] / scale
            elif name in self.amounts:
                found -= weight * self.amounts[name] / self.amounts[name][:, 0].mean() / scale
        return found


def averages(samples: Samples, policy: Policy, *, n: int) -> Verdict:
    """Compare averages: whoever looks acceptable and gains most."""
    part = _Part.of(samples, policy, n)
    found = part.differences()
    gain = part.gains(found)
    ok = gain > policy.min_gain
    for name, margin in policy.margins:
        if name in found:
            ok &= found[name] > -margin
    chosen = int(np.argmax(np.where(ok, gain, -math.inf))) + 1 if ok.any() else None
    return Verdict(chosen, 1.0, n * part.candidates)


def t_tests(samples: Samples, policy: Policy, *, n: int, alpha: float = 0.05, clustered: bool = False) -> Verdict:
    """One-sided paired t-test of every condition at alpha; clustered ones also divide alpha by the candidates.

    `clustered` is the textbook: standard errors by conversation (Miller 2024), Bonferroni over candidates.
    """
    part = _Part.of(samples, policy, n)
    conditions = [(part.guards[name], -margin) for name, margin in policy.margins if name in part.guards]
    p = np.zeros(part.candidates)
    for x, bar in [*conditions, (part.per_prompt(), policy.min_gain)]:
        for j in range(part.candidates):
            p[j] = max(p[j], _one_sided(x[:, j + 1] - x[:, 0] - bar, part.unit if clustered else np.arange(n)))
    if clustered:
        p = np.minimum(1.0, p * part.candidates)
    return _pick(1 - p, part.gains(part.differences()), threshold=1 - alpha, answers=n * part.candidates)


def _one_sided(excess: Array, unit: npt.NDArray[np.int64]) -> float:
    """p of a mean above 0, with its standard error clustered by unit."""
    mean, units = float(excess.mean()), int(unit.max()) + 1
    if units < 2:
        return 1.0
    rest = np.bincount(unit, excess - mean)
    error = math.sqrt(float((rest**2).sum()) * units / (units - 1)) / excess.size
    if error == 0:
        return 0.0 if mean > 0 else 1.0
    return float(stats.t.sf(mean / error, units - 1))


def peeking_bootstrap(
    samples: Samples,
    policy: Policy,
    *,
    looks: tuple[int, ...],
    threshold: float = 0.7,
    draws: int = 1000,
    seed: int = 1,
) -> Verdict:
    """Paired percentile bootstrap of each candidate by itself; stops at the first look that passes."""
    rng = np.random.default_rng(seed)
    verdict = Verdict(None, 0.0, 0)
    for turn, n in enumerate(looks):
        part = _Part.of(samples, policy, n)
        again = rng.multinomial(n, np.full(n, 1 / n), size=draws) / n
        drawn = {name: again @ (x[:, 1:] - x[:, :1]) for name, x in part.guards.items()}
        drawn |= {name: 1 - (again @ x[:, 1:]) / (again @ x[:, :1]) for name, x in part.amounts.items()}
        gain = sum(
            (weight * drawn[name] / scale for name, weight, scale in policy.weights if name in drawn),
            np.zeros((draws, part.candidates)),
        )
        ok = gain > policy.min_gain
        for name, margin in policy.margins:
            if name in drawn:
                ok &= drawn[name] > -margin
        verdict = _pick(ok.mean(0), gain.mean(0), threshold=threshold, answers=n * part.candidates, looks=turn + 1)
        if verdict.recommended is not None:
            break
    return verdict


def _pick(confidence: Array, gain: Array, *, threshold: float, answers: int, looks: int = 1) -> Verdict:
    """Choose the candidate that gains most among those at or above the threshold."""
    ok = confidence >= threshold
    if not ok.any():
        return Verdict(None, float(confidence.max()), answers, looks)
    best = int(np.argmax(np.where(ok, gain, -math.inf)))
    return Verdict(best + 1, float(confidence[best]), answers, looks)
