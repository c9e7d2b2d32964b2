"""Sums that come out the same on every processor.

A product of float matrices depends on the order of its additions, and so on BLAS, threads and processor. Here weights
and values are integers held in float64, so small that every product and every partial sum is an integer below 2⁵³:
exact in any order, with or without fused multiply-add. What follows are element-wise operations that IEEE 754 rounds
in one way only.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

WEIGHT_BITS = 16  # a weight is a multiple of 2⁻¹⁶
_LARGEST_WEIGHT = 32 - 2.0**-WEIGHT_BITS  # an exponential weight is larger with chance 10⁻¹⁴
_SUM_BITS = 53 - WEIGHT_BITS - 5  # left for values and their number


def quantize(x: Array, bits: int) -> Array:
    """Return x rounded to multiples of 2^-bits, still in its own unit."""
    return np.asarray(np.ldexp(np.rint(np.ldexp(x, bits)), -bits))


@functools.lru_cache(maxsize=2)
def unit_weights(draws: int, units: int, seed: int) -> Array:
    """Return exponential weights × 2¹⁶ as integers, shape (units, draws); row u is the same for every number of units.

    Bayesian bootstrap (Rubin 1981): weights of mean 1; only their ratios matter.
    """
    weights = np.random.default_rng([seed, 0]).standard_exponential((units, draws))
    np.minimum(weights, _LARGEST_WEIGHT, out=weights)
    np.ldexp(weights, WEIGHT_BITS, out=weights)
    np.rint(weights, out=weights)
    weights.flags.writeable = False
    return weights


@functools.lru_cache(maxsize=16)
def imagined_weights(draws: int, seed: int, weight: float) -> Array:
    """Return Gamma(weight) weights of an imagined unit, shape (draws,); zeros for weight 0."""
    if not weight:
        return np.zeros(draws)
    return quantize(np.random.default_rng([seed, 1]).standard_gamma(weight, draws), 32)


@functools.lru_cache(maxsize=4)
def normal_draws(draws: int, seed: int) -> Array:
    """Return standard normal draws, shape (draws,), for the judges' systematic error."""
    return quantize(np.random.default_rng([seed, 2]).standard_normal(draws), 32)


def total(x: Array) -> Array:
    """Return the correctly rounded sum over axis 0 (Shewchuk 1997), whatever the order of the rows."""
    return np.asarray(np.apply_along_axis(math.fsum, 0, x), float) if x.size else np.zeros(x.shape[1:])


def mean(x: Array) -> Array:
    """Return the mean over axis 0, which must not be empty."""
    return np.asarray(total(x) / x.shape[0])


def variance(x: Array, *, ddof: int = 0) -> Array:
    """Return the variance over axis 0, which must be longer than ddof."""
    return np.asarray(total((x - mean(x)) ** 2) / (x.shape[0] - ddof))


@dataclass(frozen=True)
class UnitSums:
    """Sums per unit: `whole · 2^exponent`, whole an integer."""

    whole: Array  # (units, k)
    exponent: Whole  # (k,)

    def each(self) -> Array:
        """Return the sums, shape (units, k)."""
        return np.asarray(np.ldexp(self.whole, self.exponent))

    def total(self) -> Array:
        """Return the sum over units, shape (k,)."""
        return np.asarray(np.ldexp(self.whole.sum(0), self.exponent))

    def per_prompt(self, prompts: Array) -> Array:
        """Return the sum over units divided by so many prompts, shape (k,); 0 of none."""
        return np.asarray(np.ldexp(self.whole.sum(0) / np.maximum(prompts, 1.0), self.exponent))

    def reweighted(self, weights: Array) -> Array:
        """Return the weighted sums for integer weights of shape (units, draws): shape (k, draws), exact."""
        return np.asarray(np.ldexp(self.whole.T @ weights, self.exponent[:, None] - WEIGHT_BITS))


@dataclass(frozen=True)
class Grouping:
    """Prompts grouped by unit, in the order in which units first appear, so that their names do not matter."""

    at: Whole  # (n,) unit number of each prompt
    units: int

    @classmethod
    def by(cls, unit: npt.NDArray[np.generic]) -> "Grouping":
        """Group by the labels of `unit`, shape (n,), n > 0."""
        _, first, at = np.unique(unit, return_index=True, return_inverse=True)
        return cls(np.argsort(np.argsort(first))[at], first.size)

    def sums(self, x: Array) -> UnitSums:
        """Sum finite x, shape (n, k), within units, each column rounded to as many bits as its exact sums allow."""
        bits = _SUM_BITS - x.shape[0].bit_length()
        exponent = np.frexp(np.abs(x).max(0))[1].astype(np.int64) - bits
        whole = np.zeros((self.units, x.shape[1]))
        np.add.at(whole, self.at, np.rint(np.ldexp(x, -exponent)))
        return UnitSums(whole, exponent)

    def weights(self, draws: int, seed: int) -> Array:
        """Return the integer weights of these units, shape (units, draws)."""
        return unit_weights(draws, max(512, 1 << (self.units - 1).bit_length()), seed)[: self.units]
