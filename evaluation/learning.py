"""What earlier runs of a project teach its next forecast: how long models write and take, how far forecasts were off.

Everything is shrunk towards what would be said without it, so that one odd run changes little.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

ANSWERS_OF_DOUBT = 20  # weight of "writes and takes as the baseline does", in answers
RUNS_OF_DOUBT = 3  # weight of the usual spread, in runs
# Spread of log(actual / expected): runs end between a quarter and four times the mean answers, most within a factor 2.
USUAL_SPREAD = 0.6
COVERAGE = 0.8


@dataclass(frozen=True)
class Seen:
    """A model's answers in this project's earlier runs; None: not known."""

    answers: int
    mean_output_tokens: float | None = None
    mean_latency_s: float | None = None
    p95_latency_s: float | None = None  # from 30 answers on


@dataclass(frozen=True)
class Experience:
    """Models by gateway name, and actual over expected cost of each earlier run."""

    models: Mapping[str, Seen] = field(default_factory=dict)
    ratios: tuple[float, ...] = ()


@dataclass(frozen=True)
class Interval:
    """Nano-dollars; holds the cost of the run with the chance of COVERAGE."""

    low: int
    high: int


def shrunk(seen: float | None, answers: int, *, usual: float | None) -> float | None:
    """Mean of what was seen and what is usual, the latter with the weight of ANSWERS_OF_DOUBT."""
    if seen is None or usual is None or not answers:
        return usual if seen is None or not answers else seen
    return (answers * seen + ANSWERS_OF_DOUBT * usual) / (answers + ANSWERS_OF_DOUBT)


def correction(ratios: Sequence[float]) -> float:
    """Factor by which runs of this project are off on average, of earlier ones and RUNS_OF_DOUBT that are not."""
    logs = _logs(ratios)
    return math.exp(sum(logs) / (RUNS_OF_DOUBT + len(logs)))


def spread(ratios: Sequence[float]) -> float:
    """Standard deviation of log(actual / expected) round the correction, earlier and usual runs together."""
    logs, center = _logs(ratios), math.log(correction(ratios))
    total = RUNS_OF_DOUBT * (USUAL_SPREAD**2 + center**2) + sum((log - center) ** 2 for log in logs)
    return math.sqrt(total / (RUNS_OF_DOUBT + len(logs)))


def _logs(ratios: Sequence[float]) -> list[float]:
    return [math.log(ratio) for ratio in ratios if ratio > 0]


def interval(expected: int, ratios: Sequence[float], *, least: int, most: int) -> Interval:
    """Return where the cost will be with the chance of COVERAGE: expected · exp(± z · spread), within what can happen.

    The spread is widened by the variance of the correction itself, a mean of n of RUNS_OF_DOUBT + n runs.

    Args:
        expected: with the correction.
        least, most: cost of a run in which everybody is dropped at the first look, and of one in which nobody is.
    """
    z = NormalDist().inv_cdf((1 + COVERAGE) / 2)
    n = len(_logs(ratios))
    factor = math.exp(z * spread(ratios) * math.sqrt(1 + n / (RUNS_OF_DOUBT + n) ** 2))
    return Interval(max(least, round(expected / factor)), min(most, round(expected * factor)))
