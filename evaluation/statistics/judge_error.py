"""What the judges cannot know about themselves, and what labels of people tell about it."""

import math
from dataclasses import dataclass

import numpy as np

from evaluation.statistics import fixed_point
from evaluation.statistics.fixed_point import Array
from evaluation.statistics.policy import Policy
from evaluation.statistics.samples import Samples

LEAST_LABELS = 10  # labelled pairs from which on they correct the judges


@dataclass(frozen=True)
class Bias:
    """Systematic error of the judges on a quality difference; `mean` is to be added to what they found."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Panel:
    """How far the judges agree, on the prompts that all of them scored in both arms."""

    prompts: int
    baseline_spread: float | None  # mean of max − min over the judges; None: no such prompt
    candidate_spread: float | None
    against: tuple[int, ...]  # judges who alone put the candidate at or below the quality margin
    fit: bool  # they agree well enough, none of them is against, and none is unfit
    unfit: tuple[int, ...] = ()  # judges whose accuracy card says so


def estimate(policy: Policy, by_judge: Array | None, *, human: Array | None, quality: Array) -> Bias:
    """Return the judges' systematic error: N(0, judge_sd² + excess spread between judges / J), corrected by labels.

    The correction is the mean residual of labelled pairs, shrunk by its own error (empirical Bayes; the simplest form
    of prediction-powered inference, Angelopoulos et al. 2023). Labels that contradict the prior widen it.

    Args:
        policy: its judge_sd is the error assumed before any labels; 0 means that the judges are exact.
        by_judge: shape (n, 2, judges), quality by baseline and candidate; nan: unscored.
        human: shape (n, 2), what people said; nan: unlabelled. Fewer than ten pairs are ignored.
        quality: shape (n, 2), what the judges said.
    """
    if policy.judge_sd == 0:
        return Bias(0.0, 0.0)
    prior = policy.judge_sd**2 + _excess(by_judge)
    rest = np.empty(0)
    if human is not None:
        rest = (human[:, 1] - human[:, 0]) - (quality[:, 1] - quality[:, 0])
        rest = rest[np.isfinite(rest)]
    if rest.size < LEAST_LABELS:
        return Bias(0.0, math.sqrt(prior))
    residual = float(fixed_point.mean(rest))
    squared_error = float(fixed_point.variance(rest, ddof=1)) / rest.size
    prior = max(prior, residual**2 - squared_error)
    share = prior / (prior + squared_error)
    return Bias(share * residual, math.sqrt(share * squared_error))


def _excess(by_judge: Array | None) -> float:
    """Variance of the judges' own mean differences beyond sampling noise, over their number."""
    if by_judge is None or by_judge.shape[2] < 2:
        return 0.0
    diff = by_judge[:, 1] - by_judge[:, 0]
    diff = diff[np.isfinite(diff).all(1)]
    prompts, judges = diff.shape
    if prompts < 2:
        return 0.0
    apart = diff - diff.mean(1, keepdims=True)
    noise = math.fsum(fixed_point.variance(apart, ddof=1)) / (judges - 1) / prompts
    between = float(fixed_point.variance(fixed_point.mean(diff), ddof=1))
    return float(max(0.0, between - noise) / judges)


def panel(part: Samples, policy: Policy) -> Panel | None:
    """Return how the judges of one candidate agree; None where no scores by judge are given.

    Args:
        part: two columns, baseline and candidate.
        policy: its disagreement is the largest mean spread allowed, its quality margin the bar of each judge alone;
            judges that it calls unfit make the panel unfit, whatever they say.
    """
    if part.scores_by_judge is None:
        return Panel(0, None, None, (), fit=False, unfit=policy.unfit) if policy.unfit else None
    scores = part.scores_by_judge[np.isfinite(part.scores_by_judge).all((1, 2))]
    if scores.size == 0:
        return Panel(0, None, None, (), fit=False, unfit=policy.unfit)
    spread = fixed_point.mean(scores.max(2) - scores.min(2))
    alone = fixed_point.mean(scores[:, 1] - scores[:, 0])
    margin = dict(policy.margins).get("quality", 1.0)
    against = tuple(int(judge) for judge in np.flatnonzero(alone <= -margin))
    fit = bool(spread.max() <= policy.disagreement) and not against and not policy.unfit
    return Panel(scores.shape[0], float(spread[0]), float(spread[1]), against, fit=fit, unfit=policy.unfit)
