"""The recommended or nearest candidate within each use case: share of the traffic, how cases moved, dollars. Pure.

Measured means beside the findings of evaluation.statistics.use_cases, which are drawn towards the overall mean. The
sample holds use cases in proportion to the traffic, so shares of prompts are shares of calls, to within a prompt, and
the savings add up to that of the whole.
"""

from typing import Any

import numpy as np

from evaluation import findings
from evaluation.measurements import Table
from evaluation.statistics import fixed_point
from evaluation.statistics.decision import Outcome, Policy
from evaluation.statistics.evidence import mean_interval
from evaluation.statistics.fixed_point import Array

SAME = 0.005  # differences of quality below it are called the same
Row = dict[str, Any]


def rows(table: Table, policy: Policy, outcome: Outcome, *, calls_a_month: float | None) -> list[Row]:
    """Return a row for each use case, the largest first; none without a leader, or where all is one use case.

    Args:
        calls_a_month: of all use cases together; None: not known, and neither is any saving.
    """
    names = np.array(table.use_cases, dtype=str)
    if outcome.leader is None or np.unique(names).size < 2:
        return []
    quality = table.samples.guards["quality"][:, [0, outcome.leader]]
    tested = np.zeros(names.size, bool)
    tested[findings.rows_of(outcome, outcome.leader)] = True
    saved = _saved(table, outcome.leader)
    found = []
    for name, n in zip(*np.unique(names, return_counts=True), strict=True):
        own = names == name
        row = {"use_case": str(name), "prompts": int(n), "share": int(n) / names.size}
        row |= _moved(quality[own & tested])
        found.append(row | _dollars(table, policy, saved, own=own, calls_a_month=calls_a_month))
    return sorted(found, key=lambda row: (-row["prompts"], row["use_case"]))


def _moved(quality: Array) -> Row:
    """Plain means of the pairs that were scored, and how many of them moved."""
    both = quality[np.isfinite(quality).all(1)]
    change = both[:, 1] - both[:, 0]
    return {
        "scored": int(both.shape[0]),
        "now": _mean(both[:, 0]),
        "then": _mean(both[:, 1]),
        "better": int((change >= SAME).sum()),
        "same": int((np.abs(change) < SAME).sum()),
        "worse": int((change <= -SAME).sum()),
    }


def _mean(x: Array) -> float | None:
    return float(fixed_point.mean(x)) if x.size else None


def _saved(table: Table, leader: int) -> Array | None:
    """US dollars saved by each call; nan: a cost is not known."""
    cost = table.samples.cost_usd
    return None if cost is None else np.asarray(cost[:, 0] - cost[:, leader], float)


def _dollars(
    table: Table, policy: Policy, saved: Array | None, *, own: np.ndarray[Any, Any], calls_a_month: float | None
) -> Row:
    """Dollars saved a month, with the central 95 % at the share of calls that was measured."""
    nothing: Row = {"saving_usd": None, "low_usd": None, "high_usd": None}
    if saved is None or not calls_a_month:
        return nothing
    known = np.isfinite(saved)
    found = mean_interval(np.where(own, saved, np.nan), table.samples.unit, policy)
    if found is None:
        return nothing
    calls = calls_a_month * int((own & known).sum()) / int(known.sum())
    is_known = np.unique(table.samples.unit[own & known]).size > 1  # one conversation says nothing of how they differ
    return {
        "saving_usd": calls * found.estimate,
        "low_usd": calls * found.low if is_known else None,
        "high_usd": calls * found.high if is_known else None,
    }
