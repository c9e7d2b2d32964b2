"""How a project's goal becomes the policy of the decision: docs/algorithms/decision.md says why."""

from collections.abc import Collection, Mapping, Sequence

from evaluation.statistics.policy import Policy, prior_after
from evaluation.values import JUDGE_SD
from projects.values import GUARDS, METRICS, Effective, Goal

# Least mean of each limit's level. The levels carry the names of the goal's limits; those of latency and cost are made
# so that the limit is a mean: the share of calls within the seconds, and 1 - cost / (2 · limit).
LEAST_LATENCY_SHARE = 0.95
LEAST_COST_LEVEL = 0.5


def goal_policy(
    goal: Goal,
    effective: Effective,
    *,
    measured: Collection[str],
    exact: bool,
    fruitless: Sequence[int],
    own_margins: Mapping[str, float] | None = None,
    seed: int = 7,
    share: float = 1.0,
) -> Policy:
    """Map a goal and the settings in force to a Policy.

    Args:
        measured: guards that this evaluation measures; the others are left out, and the outcome names them.
        exact: every judge of quality knows the right answer.
        fruitless: for each candidate, its evaluations of the last 90 days under this goal that reached a look and did
            not recommend it; each halves its prior odds, three times at most.
        own_margins: how much worse each guard of the project's own judges may get.
        seed: of the re-weightings.
        share: of the error budget that this run may spend.
    """
    limits = {"latency_p95_s": LEAST_LATENCY_SHARE, "cost_per_call_usd": LEAST_COST_LEVEL}
    base = Policy()
    assert isinstance(base.prior, float)  # noqa: S101  # the default is one number
    priors = tuple(prior_after(base.prior, n) for n in fruitless)
    return Policy(
        threshold=effective.confidence_threshold,
        prior=priors if any(fruitless) else base.prior,
        margins=(
            *((name, goal.margins[name]) for name in GUARDS if name in goal.margins and name in measured),
            *sorted((own_margins or {}).items()),
        ),
        weights=tuple(
            (name, goal.weights[name], goal.scales[name])
            for name in METRICS
            if name in goal.weights and name in goal.scales
        ),
        limits=tuple((name, limits.get(name, bound)) for name, bound in sorted(goal.limits.items())),
        min_gain=goal.min_gain,
        judge_sd=0.0 if exact else JUDGE_SD,
        disagreement=effective.judge_disagreement_threshold,
        seed=seed,
        share=share,
    )
