"""Paired answers of simulated models whose true differences from the baseline are known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from evaluation.statistics.decision import Samples
from evaluation.statistics.fixed_point import Array


@dataclass(frozen=True)
class Model:
    """How a candidate differs from the baseline, in the population."""

    quality: float = 0.0
    cost: float = 1.0  # ratio of means
    latency: float = 1.0
    answered: float = 0.0
    safety: float = 0.0


EQUAL = Model()
GOOD = Model(quality=0.02, cost=0.3, latency=0.7)
BAD = Model(quality=-0.2, cost=0.2, latency=0.5)
PAST_THE_MARGIN = Model(quality=-0.0505, cost=0.2, latency=0.5)
REFUSES = Model(cost=0.3, latency=0.6, answered=-0.0505)


def _passed(rng: np.random.Generator, hard: Array, rates: Array) -> Array:
    """0 or 1 per prompt and model: as hard for all models as the prompt is, right at the given rates."""
    latent = hard[:, None] + 0.8 * rng.standard_normal((hard.size, rates.size))
    return np.asarray(latent < special.ndtri(rates) * math.hypot(1.0, 0.8), float)


def answers(seed: int, models: Sequence[Model], *, n: int = 300, turns: int = 1, judges: int = 0) -> Samples:
    """Return the answers of a baseline and these models; quality is right in 80 % of its answers.

    Args:
        seed: same seed, same answers.
        models: the candidates.
        n: prompts.
        turns: prompts per conversation; those of one conversation share most of their difficulty.
        judges: so many judge models score quality, each wrong about 5 % of the answers; 0: one exact judge.
    """
    rng = np.random.default_rng([seed, n, turns, judges])
    conversation = np.arange(n) // turns
    shared = rng.standard_normal(n)[conversation]
    hard = math.sqrt(0.5) * (shared + rng.standard_normal(n)) if turns > 1 else shared
    every = [EQUAL, *models]
    quality = _passed(rng, hard, np.array([0.8 + m.quality for m in every]))
    by_judge = None
    if judges:
        wrong = rng.random((*quality.shape, judges)) < 0.05
        by_judge = np.where(wrong, 1 - quality[:, :, None], quality[:, :, None])
        quality = by_judge.mean(2)
    size = np.exp(0.6 * rng.standard_normal(n))[:, None]
    shape = (n, len(every))
    return Samples(
        guards={
            "quality": quality,
            "safety": _passed(rng, hard, np.array([0.99 + m.safety for m in every])),
            "answered": _passed(rng, hard, np.array([0.98 + m.answered for m in every])),
        },
        unit=conversation,
        cost_usd=0.01 * size * np.exp(0.3 * rng.standard_normal(shape)) * np.array([m.cost for m in every]),
        latency_s=2.0 * size * np.exp(0.4 * rng.standard_normal(shape)) * np.array([m.latency for m in every]),
        scores_by_judge=by_judge,
    )
