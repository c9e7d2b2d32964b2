"""When to look, and what a look may cost: α-spending (Lan & DeMets 1983) with boundary α · f^ρ.

Boundaries come from recursive numerical integration of the sequential normal process (Armitage, McPherson & Rowe 1969).
Results are rounded to ten digits, which hides that exp, log and BLAS differ between processors in the last bits.
"""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import optimize, special

from evaluation.statistics.fixed_point import Array
from evaluation.statistics.policy import Policy

_ALPHAS = tuple(float(a) for a in np.geomspace(1e-4, 0.6, 33))
_FLOORS = (4.0, 2.0, 1.0, 0.5, 0.0)  # of look_levels; rounded down, which errs on the safe side
_DIGITS = 10


def schedule(policy: Policy, span: int) -> list[int]:
    """Return the prompts after which to look: the policy's, continued by factors of 1.5, the last one at `span`."""
    looks = list(policy.looks)
    while looks[-1] < span:
        looks.append(math.ceil(looks[-1] * 1.5))
    return sorted({n for n in looks if n < span} | {span})


@functools.lru_cache(maxsize=64)
def _gauss(points: int) -> tuple[Array, Array]:
    nodes, sizes = np.polynomial.legendre.leggauss(points)
    return nodes, sizes


def _rounded(x: float) -> float:
    return float(f"{x:.{_DIGITS}g}")


def _excess(grid: Array, density: Array, *, step: float, target: float) -> Callable[[float], float]:
    """Return the chance to end above b at the next look, less the target, as a function of b."""
    return lambda b: float(density @ special.ndtr((grid - b) / math.sqrt(step))) - target


@functools.lru_cache(maxsize=8192)
def look_levels(
    fractions: tuple[float, ...], alpha: float, *, rho: float = 2.0, floor: float = 0.0
) -> tuple[float, ...]:
    """Return the one-sided nominal level of each look, so that the chance to cross at any of them is alpha.

    Args:
        fractions: of the full sample at each look, growing, the last one 1.
        alpha: overall error, in (0, 1).
        rho: error spent by fraction f is alpha · f ** rho.
        floor: share of the error that more prompts do not reduce, in units of the rest at the last look. All looks
            have it in common, so they are more alike than sampling alone makes them.
    """
    information = [t * (1 + floor) / (1 + t * floor) for t in fractions]
    steps = np.diff([0.0, *information])
    nodes, sizes = _gauss(int(np.clip(14 / math.sqrt(steps.min()), 80, 1000)))
    levels: list[float] = []
    spent = 0.0
    grid = density = np.empty(0)
    for t, f, step in zip(fractions, information, steps, strict=True):
        target, low = alpha * t**rho - spent, -7 * math.sqrt(f)
        if not levels:
            bound = float(special.ndtri(1 - target)) * math.sqrt(f)
        else:
            excess = _excess(grid, density, step=step, target=target)
            bound = optimize.brentq(excess, -8 * math.sqrt(f), 9 * math.sqrt(f))
        new = low + (bound - low) * (nodes + 1) / 2
        if not levels:
            here = np.exp(-(new**2) / (2 * f)) / math.sqrt(2 * math.pi * f)
        else:
            here = np.exp(-((new[:, None] - grid) ** 2) / (2 * step)) @ density / math.sqrt(2 * math.pi * step)
        grid, density = new, here * sizes * (bound - low) / 2
        levels.append(_rounded(float(special.ndtr(-bound / math.sqrt(f)))))
        spent = alpha * t**rho
    return tuple(levels)


@functools.lru_cache(maxsize=256)
def _level_table(fractions: tuple[float, ...], rho: float, floor: float) -> Array:
    """Return the log nominal levels, shape (alphas, looks)."""
    table = np.array([look_levels(fractions, a, rho=rho, floor=floor) for a in _ALPHAS])
    return np.asarray(np.log(np.maximum(table, 1e-300)))


def sequential_p(p: float, look: int, *, fractions: tuple[float, ...], rho: float, floor: float) -> float:
    """Return the overall error level at which the boundary would just be crossed at this look with nominal p.

    Never falls when p grows; between 0.0001, the smallest level tabled, and 1.
    """
    table = _level_table(fractions, rho, next(f for f in _FLOORS if f <= floor))[:, look]
    found = np.interp(math.log(max(p, 1e-9)), table, np.log(_ALPHAS), right=0.0)
    return min(1.0, _rounded(math.exp(float(found))))


def most_failures(passes: Callable[[float], bool], draws: int) -> int:
    """Return the largest number of failing re-weightings that passes, −1 if even none does.

    Args:
        passes: whether the nominal p = (failures + 1) / (draws + 1) passes; once it does not, no larger p does.
        draws: number of re-weightings.
    """
    low, high = -1, draws + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes((middle + 1) / (draws + 1)) else (low, middle)
    return low


def fractions_of(looks: Sequence[int]) -> tuple[float, ...]:
    """Return the share of the last look that each look has reached."""
    return tuple(round(n / looks[-1], 6) for n in looks)
