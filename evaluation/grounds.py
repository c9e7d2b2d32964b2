"""What an evaluation has shown, in the form that evidence has: of the leader, or of the candidate being tried. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from evaluation import conditions


class Look(Protocol):
    """A stored look."""

    candidate_id: int
    ranking: bool
    prompts: int
    conditions: Sequence[Mapping[str, Any]]


def read(
    looks: Sequence[Look], *, candidate: int, name: str, baseline: str, limit: int, live: bool, recommended: bool
) -> dict[str, Any] | None:
    """Checks and looks of one candidate as `conditions.table` and `plots.looks` take them; None: nobody looked yet.

    Args:
        looks: of the whole evaluation: the ranking first, then by prompts.
        candidate: its key.
        live: there is no outcome yet.
    """
    own = [look for look in looks if look.candidate_id == candidate]
    if not own:
        return None
    told = [{"prompts": look.prompts, "ranking": look.ranking, "checks": _checks(look.conditions)} for look in own]
    if not told[-1]["checks"]:
        return None
    return {
        "question": {"baseline": baseline, "limit": limit},
        "outcome": {
            "leader": name,
            "recommended": name if recommended else None,
            "prompts": own[-1].prompts,
            "ranked": own[-1].ranking,
            "live": live,
        },
        "checks": told[-1]["checks"],
        "looks": told,
        "judges": {"disagreement": None},
    }


def _checks(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Conditions of which something is known."""
    return [conditions.check(one) for one in found if None not in (one["estimate"], one["low"], one["high"])]


def failing(look: Look) -> list[str]:
    """The conditions whose own estimate does not clear its bar, as words: why a candidate is unlikely to pass."""
    return [
        f"{conditions.label(one).lower()} {conditions.estimate(one)}, required {conditions.required(one)}"
        for one in _checks(look.conditions)
        if one["verdict"] == "fails"
    ]
