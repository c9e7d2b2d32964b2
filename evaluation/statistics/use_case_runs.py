"""A verdict for each use case: each is a run of its own, and all of them share one error budget.

A use case may spend the share of the error that it has of the traffic (weighted Bonferroni, Rosenthal & Rubin 1983), so
that the chance of any wrong switch stays at the level of one run. Shares are fixed by the traffic before anything is
measured: use cases with too few prompts to decide anything have none.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from evaluation.statistics import outcome as outcomes
from evaluation.statistics.decision import Outcome, Policy, Samples, Wanted, step
from evaluation.statistics.samples import rows_of

_LEAST_SHARE = 1e-3  # below it the re-weightings no longer resolve the error level


class Kind(StrEnum):
    """What the use cases say together."""

    ONE = "one"  # every use case: the same candidate
    MIXED = "mixed"  # some switch, to one candidate or to several; the others stay
    NONE = "none"


@dataclass(frozen=True)
class Combined:
    """The outcomes of all use cases, and what they come to."""

    kind: Kind
    outcomes: Mapping[str, Outcome]
    recommended: Mapping[str, int]  # use case → column, of those that switch
    confidence: float | None  # the lowest among those that switch


def shares(traffic: Mapping[str, int], policy: Policy) -> dict[str, float]:
    """Return the share of the error budget of each use case that can be decided, in order of their names.

    Args:
        traffic: use case → replayable prompts.
        policy: its `least_prompts` is what a use case needs.
    """
    able = {name: n for name, n in sorted(traffic.items()) if n >= policy.least_prompts}
    whole = sum(able.values())
    # as many thousandths as there are, so that their sum never exceeds the budget
    found = {name: int(1000 * n / whole) / 1000 for name, n in able.items()}
    return {name: share for name, share in found.items() if share >= _LEAST_SHARE}


def policy_of(policy: Policy, share: float) -> Policy:
    """Return the policy of a run that may spend this share of what the policy's own run might."""
    return dataclasses.replace(policy, share=policy.share * share)


def step_each(
    samples: Samples,
    use_case: npt.NDArray[np.generic],
    policy: Policy,
    *,
    measured: Mapping[str, npt.ArrayLike],
    total: Mapping[str, int],
) -> dict[str, Outcome | Wanted]:
    """Return the outcome of each use case, or what must be measured of it before there is one.

    Args:
        samples: all rows so far, in sampling order; a use case's rows keep that order.
        use_case: shape (n,), label of each row.
        policy: of the whole; its error is divided by `total`.
        measured: use case → shape (1 + k,), leading rows of that use case that each column has.
        total: use case → prompts of it that may be used at most; fixed when the runs were planned.

    Raises:
        ValueError: naming the argument that makes no sense.
    """
    if np.shape(use_case) != np.shape(samples.unit):
        raise ValueError(f"use_case: shape {np.shape(use_case)}, expected {np.shape(samples.unit)}")
    budget = shares(total, policy)
    candidates = samples.guards["quality"].shape[1] - 1
    found: dict[str, Outcome | Wanted] = {}
    for name in sorted(total):
        if name not in budget:
            found[name] = outcomes.nothing("too_few_prompts", candidates)
            continue
        rows = rows_of(samples, use_case == name)
        # known means are those of all replayable prompts, not of this use case
        rows = dataclasses.replace(rows, baseline=None)
        found[name] = step(rows, policy_of(policy, budget[name]), measured=measured[name], total=total[name])
    return found


def decide_each(
    samples: Samples, use_case: npt.NDArray[np.generic], policy: Policy, *, total: Mapping[str, int] | None = None
) -> Combined:
    """Return the outcomes on complete arrays, and what they come to.

    Args:
        samples: complete rows in sampling order.
        use_case: shape (n,), label of each row.
        policy: of the whole.
        total: use case → prompts of it that may be used at most; absent: all of its rows.
    """
    names, counts = np.unique(np.asarray(use_case), return_counts=True)
    rows = dict(zip(map(str, names), counts.tolist(), strict=True))
    limits = rows if total is None else {name: min(n, rows.get(name, 0)) for name, n in total.items()}
    columns = samples.guards["quality"].shape[1]
    measured = {name: np.full(columns, rows.get(name, 0)) for name in limits}
    found = step_each(samples, use_case, policy, measured=measured, total=limits)
    return combine({name: said for name, said in found.items() if isinstance(said, Outcome)})


def combine(found: Mapping[str, Outcome]) -> Combined:
    """Return what the outcomes of all use cases come to."""
    switching = {name: said.recommended for name, said in found.items() if said.recommended is not None}
    confidence = min((found[name].confidence for name in switching), default=None)
    if not switching:
        kind = Kind.NONE
    elif len(switching) == len(found) and len(set(switching.values())) == 1:
        kind = Kind.ONE
    else:
        kind = Kind.MIXED
    return Combined(kind, dict(found), switching, confidence)
