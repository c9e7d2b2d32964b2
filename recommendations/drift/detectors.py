"""Sequential detection: Shiryaev-Roberts sums of e-processes, valid however often one looks. Pure.

Source: Shin, Ramdas & Rinaldo (2023), E-detectors. The sum over all starting points of a wager against "no worse than
the reference and its tolerance" reaches A after at least A observations on average, whatever the data look like.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommendations.drift import scales
from recommendations.drift.references import WEEK, Reference
from recommendations.drift.scales import Array

BETS = 8
AT_ONCE = 10_000  # observations: each takes a kilobyte while it is taken in
GRID = 161


@dataclass(frozen=True, eq=False)
class State:
    """How the wagers stand; row 0 bets on a rise, row 1 on a fall."""

    log_sum: Array  # (2, BETS) Shiryaev-Roberts sums
    log_best: Array  # the largest single e-process, and the hour of its first observation
    start: Array

    def as_json(self) -> dict[str, Any]:
        """Plain values; infinities and unknown hours become null, which every database takes."""
        return {
            name: [[v if math.isfinite(v) else None for v in row] for row in getattr(self, name).tolist()]
            for name in ("log_sum", "log_best", "start")
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "State":
        """A stored state; nothing stored is a beginning."""
        if not found.get("log_sum"):
            return begin()
        missing = {"log_sum": -np.inf, "log_best": -np.inf, "start": np.nan}
        return cls(
            **{
                name: np.array([[value if v is None else v for v in row] for row in found[name]])
                for name, value in missing.items()
            }
        )


@dataclass(frozen=True)
class Alarm:
    """What is known when an alarm comes. `shift` is on the view's scale, the interval about 95 % and time-uniform."""

    at: float
    began: float
    rise: bool
    observations: int  # since it began
    shift: float
    low: float
    high: float
    factor: tuple[float, float, float] | None  # amounts: the same as a factor on every amount


def begin() -> State:
    """Nothing seen yet."""
    return State(*(np.full((2, BETS), v) for v in (-np.inf, -np.inf, np.nan)))


def log_factors(x: Array, base: Array, reference: Reference) -> Array:
    """(n, 2, BETS): log(1 + bet * excess) / swing, bets from 0.03 / sd to 0.9 of the admissible maximum.

    A power below 1 of an e-value is an e-value (Jensen); with it a swing of whole days counts as one piece of evidence.
    """
    high, low = base + reference.up, base - reference.down
    excess, most = np.stack([x - high, low - x], 1), 0.9 / np.maximum(np.stack([high, 1 - low], 1), 1e-3)
    top = 0.9 / max(min(reference.mean + reference.up, 1 - reference.mean + reference.down), 1e-3)
    bets = np.geomspace(min(0.03 / max(reference.sd, 1e-3), top / 8), top, BETS)
    return np.asarray(np.log1p(np.minimum(bets, most[:, :, None]) * excess[:, :, None]) / reference.swing)


def evidence(state: State) -> float:
    """Logarithm of the average over bets and directions: what is held against the threshold."""
    peak = float(state.log_sum.max())
    return peak + math.log(float(np.exp(state.log_sum - peak).mean())) if math.isfinite(peak) else -math.inf


def advance(state: State, reference: Reference, x: Array, at: Array, *, threshold: float) -> tuple[State, int | None]:
    """Take in observations in order of time; stops at the first alarm and says after which observation it came."""
    for start in range(0, x.size, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        state, hit = _advance(state, reference, x[part], at[part], threshold=threshold)
        if hit is not None:
            return state, start + hit
    return state, None


def _advance(state: State, reference: Reference, x: Array, at: Array, *, threshold: float) -> tuple[State, int | None]:
    logs = log_factors(x, reference.base[(at % WEEK).astype(int)], reference)
    total = np.cumsum(logs, 0)
    before = np.concatenate([np.zeros_like(total[:1]), -total[:-1]])
    log_sum = total + np.logaddexp(np.logaddexp.accumulate(before), state.log_sum)
    peak = log_sum.max((1, 2))
    mixed = peak + np.log(np.exp(log_sum - peak[:, None, None]).mean((1, 2)))
    hits = np.flatnonzero(mixed >= threshold)
    end = int(hits[0]) if hits.size else x.size - 1
    fresh = before[: end + 1].argmax(0)
    best = np.take_along_axis(before, fresh[None], 0)[0]
    keep = state.log_best >= best
    moved = State(
        log_sum[end], total[end] + np.where(keep, state.log_best, best), np.where(keep, state.start, at[fresh])
    )
    return moved, (end if hits.size else None)


def began(state: State) -> tuple[float, bool]:
    """Hour of the first observation of the largest e-process, and whether it bets on a rise."""
    side, bet = np.unravel_index(int(state.log_sum.argmax()), state.log_sum.shape)
    return float(state.start[side, bet]), bool(side == 0)


def report(state: State, reference: Reference, x: Array, at: Array) -> Alarm:
    """What an alarm says; `x` and `at` hold the observations up to it, at least from where it began."""
    start, rise = began(state)
    since = at >= start
    rest = x[since] - reference.base[(at[since] % WEEK).astype(int)]
    shift = float(rest.mean())
    # time-uniform (Robbins 1970, normal mixture), as the data chose when to look; plus the reference's own error
    wide = math.sqrt((1 + 50 / rest.size) * (math.log(1 + rest.size / 50) + 2 * math.log(20)))
    half = math.hypot(
        wide * max(float(rest.std()), reference.sd) * math.sqrt(reference.swing / rest.size), 1.96 * reference.se
    )
    factor = factors(reference, shift, shift - half, shift + half) if reference.view != "share" else None
    return Alarm(float(at[-1]), start, rise, int(rest.size), shift, shift - half, shift + half, factor)


def factors(reference: Reference, *shifts: float) -> tuple[float, float, float]:
    """By which factor every amount of the reference would have to change to move the view by so much."""
    sample = np.exp(np.quantile(reference.amounts, (np.arange(400) + 0.5) / 400))
    grid = np.geomspace(0.02, 50, GRID)
    moved = np.array([scales.scaled(sample * g, reference.view, reference.amounts).mean() for g in grid])
    first, low, high = (float(v) for v in np.exp(np.interp(shifts, moved - moved[GRID // 2], np.log(grid))))
    return first, low, high
