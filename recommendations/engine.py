"""Evidence to reasons: which conditions decided, what was left out, and what it would take. Pure."""

from collections.abc import Mapping
from typing import Any

from evaluation import conditions
from evaluation.values import Reason

Evidence = Mapping[str, Any]
LEFT_OUT = {
    "safety_not_measured": "Safety was not judged, so it is left out of the decision.",
    "stability_not_measured": "Stability was not measured (no repetitions), so it is left out of the decision.",
    "answered_not_measured": "Whether calls were answered is not known, so it is left out of the decision.",
    "cost_unknown": "Costs are unknown (no tokens or no price), so they add nothing to the gain.",
    "latency_unknown": "The model in production was not called again beside the candidates, so latency adds no gain.",
    "low_coverage": "More than a fifth of the logged calls cannot be replayed: what holds for the others may not hold "
    "for them.",
    "limit_not_measured": "A hard limit of the goal could not be measured, so it is left out of the decision.",
}


def reasons(evidence: Evidence) -> list[Reason]:
    """Reasons of an outcome, the deciding one first; every number in them stands in the evidence."""
    outcome = evidence["outcome"]
    return [_deciding(evidence, outcome), *_open_checks(evidence), *_notes(evidence)]


def _deciding(evidence: Evidence, outcome: Mapping[str, Any]) -> Reason:
    code, prompts, question = outcome["code"], outcome["prompts"], evidence["question"]
    leader, least = outcome["leader"] or "no candidate", question["least_prompts"]
    texts = {
        "all_conditions_shown": f"All {len(evidence['checks'])} checks are shown for {leader} after {prompts} prompts.",
        "no_candidate": "No model was left to try: every offer was pruned, each with its reasons.",
        "too_few_prompts": f"{question['limit']} prompts can be replayed; {least} are needed before anything is paid.",
        "no_candidate_likely": f"No candidate is likely to pass; {leader} came nearest.",
        "too_many_unscored": f"Too many answers of {leader} could not be scored.",
        "judges_disagree": f"The judges disagree too much about {leader} to decide.",
        "judge_unfit": f"{_unfit(evidence)}: no recommendation can rest on it.",
        "too_few_conversations": f"Too few conversations: {question['least_units']} are needed to tell chance apart.",
        "evidence_too_weak": f"{leader} is not shown to pass within {prompts} prompts, which is the limit.",
    }
    numbers = {"prompts": prompts, "confidence": outcome["confidence"], "threshold": outcome["threshold"]}
    return Reason(code, texts[code], numbers)


def _unfit(evidence: Evidence) -> str:
    """Which judges their accuracy cards call unfit."""
    names = evidence.get("judges", {}).get("unfit", [])
    return f"{' and '.join(names) or 'A judge'} {'are' if len(names) > 1 else 'is'} unfit by the labels of people"


def _open_checks(evidence: Evidence) -> list[Reason]:
    """One reason for each condition of the leading candidate that is not shown."""
    out: list[Reason] = []
    if evidence["outcome"]["recommended"]:
        return out
    for check in evidence["checks"]:
        if check["verdict"] == "shown":
            continue
        say = "is worse than allowed" if check["verdict"] == "fails" else "is not shown"
        text = (
            f"{conditions.label(check)} {say}: estimate {conditions.estimate(check)}, required "
            f"{conditions.required(check)}."
        )
        out.append(
            Reason(f"{check['metric']}_{check['verdict']}", text, {k: check[k] for k in ("estimate", "bar", "p")})
        )
    return out


def _notes(evidence: Evidence) -> list[Reason]:
    return [Reason(code, LEFT_OUT[code]) for code in evidence["left_out"]]
