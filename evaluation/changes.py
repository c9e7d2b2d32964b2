"""What would change an outcome, in words. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentopt.lib import wording

_Change = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """One thing that was changed, what then comes out, and whether the outcome stands."""

    changed: str
    then: str
    stands: bool
    name: str = ""  # what was changed


def said(found: Sequence[_Change], *, recommended: str | None, leader: str | None, unscored: int) -> list[Said]:
    """What would change the outcome; `found` is of `findings.changes`.

    Args:
        recommended: as the outcome has it.
        leader: the recommended candidate, or the one that came nearest.
        unscored: verdicts without a score; 0: counting them as failures changes nothing, and is not said.
    """
    told = []
    for change in found:
        if change["name"] == "unscored_as_failures" and not unscored:
            continue
        stands = change["recommended"] == recommended
        told.append(Said(_changed(change, leader), _then(change, stands=stands), stands, change["name"]))
    return told


def _changed(change: _Change, leader: str | None) -> str:
    value = change["value"]
    if "weight_of_" in change["name"]:
        return _weighed(change["name"].split("weight_of_")[1].removesuffix("_needed"), value)
    if value is None and change["name"] in ("margin_needed", "price_factor_needed"):
        what = "quality that may be lost" if change["name"] == "margin_needed" else f"price of {leader}"
        return f"No {what} that was tried makes it pass"
    texts = {
        "unscored_as_failures": "Every unscored answer counted as a failure",
        "without_judge": f"Without {value}",
        "without_largest_unit": "Without the largest conversation",
        "smallest_margin": f"Quality may fall by {_margin(value)}",
        "margin_needed": f"Quality may fall by {_margin(value)}",
        "largest_price_factor": f"{leader} costs up to {_factor(value)} times as much",
        "price_factor_needed": f"{leader} costs {_factor(value)} times as much",
    }
    return texts.get(change["name"], str(change["name"]).replace("_", " "))


def _weighed(metric: str, value: Any) -> str:
    return f"No weight of {metric} makes it pass" if value is None else f"{metric.capitalize()} weighs {value:g}"


def _margin(value: Any) -> str:
    return "nothing at all" if value == 0 else f"{value:.3f} at most" if isinstance(value, int | float) else "any share"


def _factor(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) else "any number of"


def _then(change: _Change, *, stands: bool) -> str:
    if change["confidence"] is None:
        return {"none_in_reach": "stands as it is"}.get(change["code"], "more answers would be needed to know")
    stated = wording.confidence(change["confidence"])
    if stands:
        return f"{stated}, stands"
    return f"{stated}, {change['recommended']} instead" if change["recommended"] else f"{stated}, no recommendation"
