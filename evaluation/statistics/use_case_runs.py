"""How the use cases of an agent share one error budget, where each is decided by a run of its own.

A use case may spend the share of the error that it has of the traffic (weighted Bonferroni, Rosenthal & Rubin 1983), so
that the chance of any wrong switch stays at the level of one run. Shares are fixed by the traffic before anything is
measured: use cases with too few prompts to decide anything have none.
"""

from collections.abc import Mapping

from evaluation.statistics.policy import Policy

_LEAST_SHARE = 1e-3  # below it the re-weightings no longer resolve the error level


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
