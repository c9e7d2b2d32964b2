"""Evidence to sentences that a person can check: every number stands in the evidence. Pure and deterministic."""

from collections.abc import Mapping
from typing import Any

from agentopt.lib import wording
from evaluation import by_use_case, conditions
from evaluation import changes as changed

Evidence = Mapping[str, Any]
VOLUME_STEP = 10_000  # calls a month
NOTICEABLE = 0.005  # shares below it would be said as 0 %


def share(value: float) -> str:
    """A share of 1 as whole percent."""
    return wording.percent(value, 0)


def dollars(amount_usd: float) -> str:
    """US dollars, whole from 100 on."""
    return wording.dollars(amount_usd, 0 if abs(amount_usd) >= 100 else None)


def headline(evidence: Evidence) -> str:
    """The outcome in one sentence."""
    outcome, question = evidence["outcome"], evidence["question"]
    agent, baseline = question["agent"], question["baseline"]
    use_case = wording.listed([question["use_case"]]) if question.get("use_case") else ""
    version = f"prompt version {question['prompt_version']}" if question.get("prompt_version") else ""
    if outcome["recommended"]:
        where = " of ".join(part for part in (use_case, version, agent) if part)
        return f"Move {where} from {baseline} to {outcome['recommended']}"
    part = " of ".join(name for name in (use_case, version) if name)
    endings = {
        "no_candidate": "no other model can serve these calls",
        "too_few_prompts": "there are too few calls to tell",
        "too_few_conversations": "there are too few conversations to tell",
        "no_candidate_likely": "no candidate is likely to be worth the move",
        "too_many_unscored": "too many answers could not be scored",
        "judges_disagree": "the judges disagree too much",
        "judge_unfit": "a judge is unfit",
        "evidence_too_weak": f"{outcome['prompts']} prompts do not show that {outcome['leader']} is as good",
    }
    return f"Keep {baseline}{f' for {part}' if part else ''} for now: {endings[outcome['code']]}"


def lead(evidence: Evidence) -> list[str]:
    """Two or three sentences with the numbers that decide."""
    outcome = evidence["outcome"]
    if outcome["recommended"]:
        mixed = by_use_case.mixed(evidence)
        return [*_what_changes(evidence), *([mixed] if mixed else []), _confidence(outcome)]
    if not evidence["checks"]:
        return [next_step(evidence)]
    return [*_what_changes(evidence), *_what_holds_back(evidence), next_step(evidence)]


def _confidence(outcome: Mapping[str, Any]) -> str:
    stated, needed = wording.confidence(outcome["confidence"]), share(outcome["threshold"])
    return f"Of recommendations issued at {stated}, at least as many are right; {needed} is needed."


def _what_changes(evidence: Evidence) -> list[str]:
    checks = {check["metric"]: check for check in evidence["checks"]}
    leader = evidence["outcome"]["leader"]
    out = []
    quality = checks.get("quality")
    if quality:
        difference = f"{wording.signed(quality['estimate'])} {wording.interval(quality)}"
        if not evidence["outcome"]["recommended"]:
            out.append(f"Quality of {leader} differs by {difference}.")
        elif quality["low"] > 0:
            out.append(f"It answers better: quality {difference}.")
        else:
            out.append(f"It answers as well within your margin: quality {difference}.")
    cost = evidence["estimates"].get("cost")
    if cost is not None and abs(cost["estimate"]) >= NOTICEABLE:
        word = "less" if cost["estimate"] >= 0 else "more"
        out.append(f"It costs {share(abs(cost['estimate']))} {word} {_ends(cost)}.")
    latency = evidence["estimates"].get("latency")
    if latency is not None and abs(latency["estimate"]) >= NOTICEABLE:
        word = "faster" if latency["estimate"] >= 0 else "slower"
        out.append(f"It is {share(abs(latency['estimate']))} {word} on average {_ends(latency)}.")
    return out


def _ends(found: Mapping[str, Any]) -> str:
    """The interval of a share saved or, where more is spent, of the share added."""
    sign = 1 if found["estimate"] >= 0 else -1
    low, high = sorted((sign * found["low"], sign * found["high"]))
    return f"({share(low)} to {share(high)})"


def _what_holds_back(evidence: Evidence) -> list[str]:
    failing = [check for check in evidence["checks"] if check["verdict"] != "shown"]
    if not failing:
        return []
    worst = min(failing, key=lambda check: check["estimate"] - check["bar"])
    name, required, measured = conditions.label(worst).lower(), conditions.required(worst), conditions.estimate(worst)
    if worst["verdict"] == "fails" or worst["bound"] is None:
        return [f"What holds it back is {name}: required is {required}, measured {measured}."]
    bound = conditions.estimate({**worst, "estimate": worst["bound"]})
    return [f"What holds it back is {name}: measured {measured}, it may still be {bound}, and required is {required}."]


def next_step(evidence: Evidence) -> str:
    """The cheapest step that could settle it, with its calls, its price and what it would bring."""
    return changed.next_step(evidence["next_step"], leader=evidence["outcome"]["leader"], saving=evidence.get("saving"))


def changes(evidence: Evidence) -> list[changed.Said]:
    """What would change the outcome: what is changed, what then comes out, and whether the outcome stands."""
    outcome = evidence["outcome"]
    return changed.said(
        evidence["changes"],
        recommended=outcome["recommended"],
        leader=outcome["leader"],
        unscored=evidence["judges"]["unscored"],
    ) + _volume(evidence)


def _volume(evidence: Evidence) -> list[changed.Said]:
    """The volume changes the dollars, never the outcome: all conditions are means per call."""
    saving = evidence.get("saving") or {}
    if not saving.get("monthly_calls"):
        return []
    each = saving["saving_usd"] / saving["monthly_calls"] * VOLUME_STEP
    text = f"Each {VOLUME_STEP:,} calls a month more or less"
    return [changed.Said(text, f"{dollars(abs(each))} of saving, stands", stands=True, name="volume")]
