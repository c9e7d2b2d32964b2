"""What would change an outcome, and what would settle one, in words. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentopt.lib import wording

_Change = Mapping[str, Any]
_ENDS = ("saving_usd", "low_usd", "high_usd")


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


# ------------------------------------------------------------------------------------------------ next step
def next_step(step: Mapping[str, Any] | None, *, leader: str | None, saving: Mapping[str, Any] | None = None) -> str:
    """The cheapest step that could settle it, with its calls, its price and what it would bring; `step`: of `settling`.

    Args:
        leader: the candidate that came nearest.
        saving: what it would save a month, of `findings.saving`.
    """
    if step is None:
        return ""
    takes, missing, code = _takes(step), step.get("missing"), step["code"]
    aside = f", {takes}," if takes else ""
    run = f"A new run of {wording.count(step.get('prompts'))} prompts{aside}"
    also = f"; {run[0].lower()}{run[1:]} would, too" if step.get("prompts") else ""
    holds = "settles it with 80 % chance if the trend holds"
    texts = {
        "more_prompts": f"{run} {holds}.{_yet_to_come(step)}{_brings(leader, saving)}",
        "more_labels": f"People's scores of {step.get('labels')} pairs of answers {holds.replace('settles', 'settle')}"
        f"{also}.{_brings(leader, saving)}",
        "more_logs": f"{missing} more replayable prompts are needed before an evaluation can start.",
        "more_conversations": f"{missing} more conversations are needed{f': {takes}' if takes else ''}.",
        "another_judge": f"Another judge{aside} or labels by people would tell which judge to trust.",
        "mend_judges": "Look at the unscored answers: a judge that answers in the asked form is needed"
        f"{f'; to ask for them again takes {takes}' if takes else ''}.",
        "more_candidates": "Connect another provider, or lift a ban or limit: the reasons stand beside each model.",
        "nothing": _nothing(step.get("worse_on") or (), leader),
    }
    return texts[code]


def next_step_of(outcome: Mapping[str, Any], *, leader: str | None) -> str:
    """The same of a stored Evaluation.outcome; empty: it is settled, there is none yet, or an earlier release's."""
    return next_step(outcome.get("next_step"), leader=leader, saving=outcome.get("saving"))


def saving_of(outcome: Mapping[str, Any]) -> str:
    """What the leader would save a month, with its interval; empty: not known, or an outcome of an earlier release."""
    saving = outcome.get("saving") or {}
    if "saving_usd" not in saving:
        return ""
    usd, low, high = (wording.dollars(saving[name], _digits(saving[name])) for name in _ENDS)
    return f"{usd} a month ({low} to {high}, 95 %) at {wording.count(saving['monthly_calls'])} calls a month"


def _takes(step: _Change) -> str:
    """Price and calls, as far as they are known."""
    kinds = (("model_calls", "to models"), ("judge_calls", "to judges"))
    calls = " and ".join(f"{step[name]:,} calls {whom}" for name, whom in kinds if step.get(name))
    if step.get("cost_usd") is None:
        return calls
    price = f"about {wording.dollars(step['cost_usd'], _digits(step['cost_usd']))}"
    return f"{price} ({calls})" if calls else price


def _digits(amount_usd: float) -> int | None:
    return 0 if abs(amount_usd) >= 100 else 2 if abs(amount_usd) >= 0.1 else None


def _nothing(worse_on: Sequence[str], leader: str | None) -> str:
    if not worse_on or leader is None:
        return "No number of further prompts promises to settle it: what was measured may still go either way."
    names = [name.replace("_", " ") for name in worse_on]
    said = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"More prompts would hardly help: {leader} falls short on {said} by what was measured."


def _yet_to_come(step: _Change) -> str:
    return f" {step['missing']:,} of them are yet to be logged." if step.get("missing") else ""


def _brings(leader: str | None, saving: _Change | None) -> str:
    usd = (saving or {}).get("saving_usd")
    if not leader or usd is None or usd <= 0:
        return ""
    return f" If it passes, {leader} saves about {wording.dollars(usd, _digits(usd))} a month."
